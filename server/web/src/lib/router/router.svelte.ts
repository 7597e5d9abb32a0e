// The address is the state: where the page is, and going elsewhere. Which pages there are is said in src/routes.ts.
import { readSearch, writeSearch, type Schema, type Values } from './params';

interface Place {
  readonly path: string;
  readonly search: string;
  readonly hash: string;
}

interface Options {
  /** Instead of the present entry of the history, for what changes with every key. */
  replace?: boolean;
}

const here = (): Place => ({ path: location.pathname, search: location.search, hash: location.hash });

class Router {
  /** Where the page is. */
  place: Place = $state.raw(here());

  /** Of this entry of the history; where it was scrolled to is remembered by it. */
  #key = 0;
  #lastKey = 0;
  #scrolled = new Map<number, number>();
  #scrollTo: number | null = null;

  /** Begins to follow the history and the links. Returns how to stop. */
  start(): () => void {
    const stop = new AbortController();
    const { signal } = stop;
    history.scrollRestoration = 'manual';
    history.replaceState({ key: this.#key }, '');
    addEventListener('popstate', (event) => this.#back(event), { signal });
    document.addEventListener('click', (event) => this.#follow(event), { signal });
    return () => stop.abort();
  }

  /** Goes to an address of the console. */
  go(href: string, { replace = false }: Options = {}): void {
    const url = new URL(href, location.href);
    if (url.href === location.href) return;
    const isOtherPage = url.pathname !== location.pathname;
    if (!replace) {
      this.#scrolled.set(this.#key, scrollY);
      this.#key = ++this.#lastKey;
    }
    history[replace ? 'replaceState' : 'pushState']({ key: this.#key }, '', url);
    if (isOtherPage) this.#scrollTo = 0;
    this.place = here();
  }

  /** Scrolls to where this entry was left. Called when its page is drawn. */
  restoreScroll(): void {
    if (this.#scrollTo !== null) scrollTo(0, this.#scrollTo);
    this.#scrollTo = null;
  }

  #back(event: PopStateEvent): void {
    this.#scrolled.set(this.#key, scrollY);
    const { key } = (event.state ?? {}) as { key?: number };
    this.#key = key ?? ++this.#lastKey;
    this.#scrollTo = this.#scrolled.get(this.#key) ?? 0;
    this.place = here();
  }

  /** Links to the console's own pages do not load the document again. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement)) return;
    if (link.target || link.hasAttribute('download') || link.rel.includes('external')) return;
    if (link.origin !== location.origin || (link.hash && link.pathname === location.pathname)) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const router = new Router();

/** The search parameters of a page, typed, and how to change them. */
export function useSearch<const S extends Schema>(schema: S) {
  const values = $derived(readSearch(schema, router.place.search));
  return {
    get values(): Values<S> {
      return values;
    },
    /** The address of this page with some of them changed, for links. */
    href(changes: Partial<Values<S>>): string {
      return router.place.path + writeSearch(schema, router.place.search, changes);
    },
    /** Changes some of them. */
    set(changes: Partial<Values<S>>, options?: Options): void {
      router.go(this.href(changes) + router.place.hash, options);
    },
  };
}
