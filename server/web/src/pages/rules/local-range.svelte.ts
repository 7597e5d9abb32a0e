// The range of a chart that is not a page's own: it is not in the address.
import type { GroupRange } from '$lib/chart/group.svelte';
import type { Span } from '$lib/range/range';

export class LocalRange implements GroupRange {
  span: Span = $state.raw({ from: 0, to: 0 });
  pinned: number | null = $state.raw(null);
  readonly #before: Span[] = [];

  constructor(span: Span) {
    this.span = span;
  }

  zoom(span: Span): void {
    this.#before.push(this.span);
    this.span = span;
  }

  back(): void {
    this.span = this.#before.pop() ?? this.span;
  }

  pin(moment: number | null): void {
    this.pinned = moment;
  }
}
