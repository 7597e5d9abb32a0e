// Patterns of paths: `/agents/:id`.

/** The names in a pattern, each with a text. */
export type PathParams<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? { readonly [K in Name]: string } & PathParams<Rest>
  : P extends `${string}:${infer Name}`
    ? { readonly [K in Name]: string }
    : Readonly<Record<never, string>>;

const segments = (path: string) => path.split('/').filter(Boolean);

/** The parameters of a path that has this pattern; null where it has another. */
export function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = segments(pattern);
  const found = segments(path);
  if (wanted.length !== found.length) return null;
  const params: Record<string, string> = {};
  for (const [i, want] of wanted.entries()) {
    const segment = found[i] ?? '';
    if (want.startsWith(':')) {
      try {
        params[want.slice(1)] = decodeURIComponent(segment);
      } catch {
        return null;
      }
    } else if (want !== segment) {
      return null;
    }
  }
  return params;
}

/** The path of this pattern with its parameters. */
export function fillPath(pattern: string, params: Readonly<Record<string, string>>): string {
  return pattern.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
}

/** The address to go to after a login: one of the console's own, whatever the parameter says. */
export function safeNext(next: string, origin: string): string {
  if (!next.startsWith('/')) return '/';
  let url: URL;
  try {
    url = new URL(next, origin);
  } catch {
    return '/';
  }
  if (url.origin !== origin || matchPath('/login', url.pathname)) return '/';
  // `//evil.example` and `/\evil.example` have another origin; `/.//evil.example` becomes one when it is used again.
  return `/${url.pathname.replace(/^\/+/, '')}${url.search}${url.hash}`;
}
