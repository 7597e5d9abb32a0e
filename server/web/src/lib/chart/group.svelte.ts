// What the charts of one page have in common: the span, the moment that is looked at, the pinned one, the selection.
import type { Span } from '../range/range';

/** The page's range, which charts show and change. Each change of the span is one entry of the history. */
export interface GroupRange {
  readonly span: Span;
  readonly pinned: number | null;
  zoom(span: Span): void;
  /** To the span before this one. */
  back(): void;
  pin(moment: number | null): void;
}

export class ChartGroup {
  /** The moment under the pointer or the keyboard's crosshair, in whichever chart. */
  at: number | null = $state.raw(null);
  /** The chart that the pointer or the focus is in. */
  source: string | null = $state.raw(null);
  /** Where the pointer is in the window; null while keys move the crosshair. */
  pointer: { x: number; y: number } | null = $state.raw(null);
  selection: Span | null = $state.raw(null);
  /** While something is being moved: shown at once, asked for when it is let go. */
  preview: Span | null = $state.raw(null);

  constructor(readonly range: GroupRange) {}

  get span(): Span {
    return this.preview ?? this.range.span;
  }

  get pinned(): number | null {
    return this.range.pinned;
  }

  /** The moment whose values are shown: what is looked at, else the pinned one where it is in the span. */
  get moment(): number | null {
    const { pinned, span } = this;
    return this.at ?? (pinned !== null && span.from <= pinned && pinned <= span.to ? pinned : null);
  }

  look(chart: string, moment: number, pointer: { x: number; y: number } | null): void {
    this.source = chart;
    this.at = moment;
    this.pointer = pointer;
  }

  leave(): void {
    this.source = null;
    this.at = null;
    this.pointer = null;
  }

  /** Shows the span for good. */
  commit(span: Span): void {
    this.preview = null;
    this.selection = null;
    this.range.zoom(span);
  }
}
