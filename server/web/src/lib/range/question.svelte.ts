// What the charts of a page ask for: its span, with as many points as they are wide enough for.
import { asked, pointsFor } from './range';
import type { RangeState } from './state.svelte';

export class Question {
  /** Of a chart, in CSS pixels; 0 before the first is measured, and until then nothing is asked for. */
  width = $state(0);

  constructor(readonly range: RangeState) {}

  readonly #wanted = $derived.by(() => asked(this.range.span, pointsFor(this.width), this.range.isLive));
  // Made anew every second while live; what is asked for is the same most of the time.
  readonly #start = $derived(this.#wanted.start);
  readonly #end = $derived(this.#wanted.end);
  readonly #points = $derived(this.#wanted.points);
  readonly #asked = $derived({ start: this.#start, end: this.#end, points: this.#points });

  get asked() {
    return this.#asked;
  }

  get isMeasured(): boolean {
    return this.width > 0;
  }
}
