// The span of a page as its address has it, and every way of changing it. Each change is one entry of the history.
import { untrack } from 'svelte';
import { serverNow, tickingNow } from '../clock.svelte';
import { preferences } from '../preferences.svelte';
import { flag, integer, oneOf, type Param } from '../router/params';
import { router, useSearch } from '../router/router.svelte';
import {
  DAY,
  DEFAULT_RANGE,
  liveStepMs,
  notAfter,
  rangeMs,
  saneSpan,
  shifted,
  spanMs,
  spanOf,
  zoomed,
  type Span,
} from './range';

const preferredRange = () => preferences.range ?? DEFAULT_RANGE;

/** Left out where it is what everybody begins with. */
const rangeParam: Param<string> = {
  read: ([value]) => value ?? preferredRange(),
  write: (value) => (value === DEFAULT_RANGE && preferredRange() === DEFAULT_RANGE ? [] : [value]),
};

const PARAMS = {
  range: rangeParam,
  from: integer(null),
  to: integer(null),
  live: flag(true),
  vs: oneOf(['day', 'week'], null),
  /** The pinned moment. */
  at: integer(null),
};

export type Versus = 'day' | 'week';
const VERSUS_MS: Readonly<Record<Versus, number>> = { day: DAY, week: 7 * DAY };

interface Ends {
  readonly range: string;
  readonly from: number | null;
  readonly to: number | null;
}

export class RangeState {
  readonly #search = useSearch(PARAMS);
  #before: Ends[] = [];
  /** Where a relative range ends that does not follow the present. */
  #stoppedAt = $state.raw(serverNow());

  constructor() {
    // Who is given the link sees the same, whatever they prefer.
    $effect(() => {
      const range = preferredRange();
      const isSaid = this.isFixed || /[?&]range=/.test(router.place.search);
      if (!isSaid && range !== DEFAULT_RANGE) untrack(() => this.#search.set({ range }, { replace: true }));
    });
    $effect(() => {
      if (!this.isLive) this.#stoppedAt = untrack(serverNow);
    });
  }

  get isFixed(): boolean {
    const { from, to } = this.#search.values;
    return from !== null && to !== null && from < to;
  }

  /** Follows the present. */
  get isLive(): boolean {
    return !this.isFixed && this.#search.values.live;
  }

  /** The preset that is shown, or that a fixed span came from. */
  get range(): string {
    const { range } = this.#search.values;
    return rangeMs(range) === null ? preferredRange() : range;
  }

  /** Where a relative range ends. Not every second is another span. */
  readonly #end = $derived.by(() => {
    if (!this.isLive) return this.#stoppedAt;
    const step = liveStepMs(rangeMs(this.range) ?? 0);
    return Math.ceil(tickingNow() / step) * step;
  });
  readonly #span = $derived(spanOf(this.#search.values, this.#end));

  get span(): Span {
    return this.#span;
  }

  get versus(): Versus | null {
    return this.#search.values.vs;
  }

  /** How much earlier what it is compared with was. */
  get versusMs(): number | null {
    return this.versus && VERSUS_MS[this.versus];
  }

  get pinned(): number | null {
    return this.#search.values.at;
  }

  /** The address that shows a preset. */
  hrefOf(range: string): string {
    return this.#search.href({ range, from: null, to: null, live: true });
  }

  preset(range: string): void {
    this.#go({ range, from: null, to: null });
  }

  /** Shows a fixed span. */
  zoom(span: Span): void {
    const { from, to } = saneSpan(span.from, span.to);
    this.#go({ range: this.#search.values.range, from, to });
  }

  zoomBy(factor: number): void {
    this.zoom(notAfter(zoomed(this.span, factor), serverNow()));
  }

  shift(share: number): void {
    const span = notAfter(shifted(this.span, share), serverNow());
    if (span.to !== this.span.to) this.zoom(span);
  }

  /** To the preset that a fixed span came from. */
  reset(): void {
    if (this.isFixed) this.preset(this.range);
  }

  /** To the span before this one; in the end to the preset. */
  back(): void {
    const { range, from, to } = this.#search.values;
    let before = this.#before.pop();
    while (before && before.from === from && before.to === to && before.range === range) before = this.#before.pop();
    if (before) this.#search.set({ ...before });
    else this.reset();
  }

  setLive(isLive: boolean): void {
    if (isLive && this.isFixed) this.#go({ range: this.range, from: null, to: null });
    else this.#search.set({ live: isLive });
  }

  compare(versus: Versus | null): void {
    this.#search.set({ vs: versus });
  }

  /** Pinning is no place to go back to. */
  pin(at: number | null): void {
    this.#search.set({ at }, { replace: true });
  }

  /** A link that will show the same later. */
  get frozenLink(): string {
    const { from, to } = untrack(() => this.span);
    return location.origin + this.#search.href({ from: Math.round(from), to: Math.round(to) });
  }

  #go(ends: Ends): void {
    const { range, from, to } = this.#search.values;
    const changes = { ...ends, live: true };
    if (this.#search.href(changes) === router.place.path + router.place.search) return;
    this.#before.push({ range, from, to });
    this.#search.set(changes);
  }
}

/** Whether a span is so short that it moves by seconds. */
export const isShort = (span: Span) => spanMs(span) <= 3_600_000;
