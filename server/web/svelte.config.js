// Svelte's compiler: runes only.
export default { compilerOptions: { runes: true } };
