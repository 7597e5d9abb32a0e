// Words for names of which a later server may have more than this console knows.

/** The word for a name; the name itself where there is none. */
export function wordFor(words: object, name: string): string {
  const known = words as Readonly<Record<string, string>>;
  return Object.hasOwn(known, name) ? (known[name] ?? name) : name;
}
