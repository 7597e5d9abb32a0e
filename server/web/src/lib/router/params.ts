// Typed search parameters. What cannot be understood counts as not given; a default is left out of the address; parameters
// that nobody knows stay.

/** How a value is written into the address. No values: the parameter is not there. */
export interface Param<T> {
  read(values: readonly string[]): T;
  write(value: T): string[];
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each parameter has a type of its own
export type Schema = Readonly<Record<string, Param<any>>>;
export type Values<S> = { readonly [K in keyof S]: S[K] extends Param<infer T> ? T : never };

/** Any text. */
export function text(otherwise = ''): Param<string> {
  return { read: ([value]) => value ?? otherwise, write: (value) => (value === otherwise ? [] : [value]) };
}

/** One of a few words. */
export function oneOf<const T extends string, const D extends string | null>(
  allowed: readonly T[],
  otherwise: D,
): Param<T | D> {
  const isAllowed = (value: string): value is T => (allowed as readonly string[]).includes(value);
  return {
    read: ([value]) => (value !== undefined && isAllowed(value) ? value : otherwise),
    write: (value) => (value === null || value === otherwise ? [] : [value]),
  };
}

/** A whole number. */
export function integer<const D extends number | null>(
  otherwise: D,
  { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = {},
): Param<number | D> {
  return {
    read: ([value]) => {
      const number = value !== undefined && /^-?\d+$/.test(value) ? Number(value) : NaN;
      return number >= min && number <= max ? number : otherwise;
    },
    write: (value) => (value === null || value === otherwise ? [] : [String(value)]),
  };
}

/** Yes or no, as 1 and 0. */
export function flag(otherwise = false): Param<boolean> {
  return {
    read: ([value]) => (value === '1' ? true : value === '0' ? false : otherwise),
    write: (value) => (value === otherwise ? [] : [value ? '1' : '0']),
  };
}

/** A list, one parameter an element; each once. */
export function many(): Param<readonly string[]> {
  return { read: (values) => [...new Set(values)], write: (values) => [...values] };
}

/** The values of a schema's parameters. */
export function readSearch<S extends Schema>(schema: S, search: string): Values<S> {
  const given = new URLSearchParams(search);
  const entries = Object.entries(schema).map(([name, param]) => [name, param.read(given.getAll(name))]);
  return Object.fromEntries(entries) as Values<S>;
}

/** The search part with some values changed, `''` or with its question mark. */
export function writeSearch<S extends Schema>(schema: S, search: string, changes: Partial<Values<S>>): string {
  const given = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    const param = schema[name];
    if (!param || value === undefined) continue;
    given.delete(name);
    for (const text of param.write(value)) given.append(name, text);
  }
  const written = given.toString();
  return written && `?${written}`;
}
