// Sentences with things in them that become links.

/** Either words, or what stands in braces. */
export type Part<Name extends string> = { readonly words: string } | { readonly name: Name };

/** Takes `{actor} disabled {object}` apart; braces around anything else are words. */
export function parts<const Name extends string>(template: string, names: readonly Name[]): Part<Name>[] {
  const isName = (text: string): text is Name => (names as readonly string[]).includes(text);
  return template
    .split(/(\{\w+\})/)
    .filter(Boolean)
    .map((piece) => {
      const name = piece.slice(1, -1);
      return piece.startsWith('{') && isName(name) ? { name } : { words: piece };
    });
}
