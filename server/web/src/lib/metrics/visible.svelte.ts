// Which lines of a page's charts are hidden: the address says what differs from the beginning.
import { many } from '../router/params';
import { useSearch } from '../router/router.svelte';
import { isHiddenAtFirst, type Family } from './families';

export class VisibleLines {
  readonly #search = useSearch({ hide: many(), show: many() });

  isHidden(family: Family, key: string): boolean {
    const { hide, show } = this.#search.values;
    const name = `${family}:${key}`;
    return hide.includes(name) || (isHiddenAtFirst(family, key) && !show.includes(name));
  }

  toggle(family: Family, keys: readonly string[], isShown: boolean): void {
    const names = keys.map((key) => `${family}:${key}`);
    const { hide, show } = this.#search.values;
    const without = (list: readonly string[]) => list.filter((name) => !names.includes(name));
    const differing = names.filter((_, i) => isHiddenAtFirst(family, keys[i] ?? '') === isShown);
    this.#search.set(
      isShown
        ? { hide: without(hide), show: [...without(show), ...differing] }
        : { hide: [...without(hide), ...differing], show: without(show) },
      { replace: true },
    );
  }
}
