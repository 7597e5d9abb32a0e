// What pointers do to a chart: look, select, move, pinch, pin. Mouse: drag selects, Shift+drag moves, Ctrl+wheel zooms. Touch:
// a tap looks, a sideways drag moves the crosshair, two fingers zoom, a long press pins; up and down always scrolls.
import { saneSpan, shifted, spanMs, zoomed, type Span } from '../range/range';
import type { ChartGroup } from './group.svelte';

/** The chart that the gestures are made on. */
export interface Surface {
  readonly id: string;
  readonly area: () => { left: number; top: number; width: number; height: number } | null;
  readonly momentAt: (left: number) => number;
}

const DRAG_PX_MIN = 6;
const LONG_PRESS_MS = 500;
const WHEEL_FACTOR = 1.25;
/** A click this near to the pin takes it away. */
const UNPIN_PX = 8;

interface Held {
  readonly startX: number;
  readonly startY: number;
  x: number;
}

/** The span that keeps two moments under two fingers. */
export function pinched(span: Span, before: readonly [number, number], now: readonly [number, number]): Span {
  const length = spanMs(span);
  const distance = Math.abs(now[1] - now[0]);
  if (distance < 0.02) return span;
  const factor = Math.abs(before[1] - before[0]) / distance;
  const moment = span.from + ((before[0] + before[1]) / 2) * length;
  const from = moment - ((now[0] + now[1]) / 2) * length * factor;
  return saneSpan(from, from + length * factor);
}

export class Gestures {
  #held = new Map<number, Held>();
  #mode: 'none' | 'select' | 'move' | 'look' | 'pinch' = 'none';
  #began: Span | null = null;
  #pinchBegan: [number, number] | null = null;
  #longPress: ReturnType<typeof setTimeout> | undefined;
  #isLongPressed = false;

  constructor(
    readonly host: HTMLElement,
    readonly surface: Surface,
    readonly group: ChartGroup,
  ) {}

  /** Begins to listen. Returns how to stop. */
  listen(): () => void {
    const stop = new AbortController();
    const { signal } = stop;
    const { host } = this;
    host.addEventListener('pointerdown', (event) => this.#down(event), { signal });
    host.addEventListener('pointermove', (event) => this.#move(event), { signal });
    host.addEventListener('pointerup', (event) => this.#up(event), { signal });
    host.addEventListener('pointercancel', (event) => this.#cancel(event), { signal });
    host.addEventListener('pointerleave', () => this.#leave(), { signal });
    host.addEventListener('dblclick', () => this.group.range.back(), { signal });
    host.addEventListener('wheel', (event) => this.#wheel(event), { signal, passive: false });
    host.addEventListener('contextmenu', (event) => this.#isLongPressed && event.preventDefault(), { signal });
    return () => {
      stop.abort();
      clearTimeout(this.#longPress);
    };
  }

  /** Gives up what is being dragged. Returns whether anything was. */
  abandon(): boolean {
    const was = this.#mode !== 'none' && this.#mode !== 'look';
    this.#mode = 'none';
    this.group.selection = null;
    this.group.preview = null;
    return was;
  }

  #moment(x: number): number {
    return this.surface.momentAt(x - (this.surface.area()?.left ?? 0));
  }

  #look(event: PointerEvent): void {
    this.group.look(this.surface.id, this.#moment(event.clientX), { x: event.clientX, y: event.clientY });
  }

  #down(event: PointerEvent): void {
    if (event.pointerType === 'mouse' && event.button !== 0) return;
    this.#held.set(event.pointerId, { startX: event.clientX, startY: event.clientY, x: event.clientX });
    // Else a finger that leaves the chart takes the gesture with it.
    this.host.setPointerCapture(event.pointerId);
    this.#isLongPressed = false;
    clearTimeout(this.#longPress);
    if (this.#held.size === 2) {
      this.#mode = 'pinch';
      this.#began = this.group.span;
      this.#pinchBegan = this.#shares();
    } else if (event.pointerType === 'touch') {
      this.#mode = 'look';
      this.#longPress = setTimeout(() => {
        this.#isLongPressed = true;
        this.group.range.pin(Math.round(this.#moment(event.clientX)));
      }, LONG_PRESS_MS);
    } else {
      this.#mode = event.shiftKey ? 'move' : 'select';
      this.#began = this.group.span;
    }
  }

  #move(event: PointerEvent): void {
    const held = this.#held.get(event.pointerId);
    if (!held) {
      if (event.pointerType === 'mouse') this.#look(event);
      return;
    }
    held.x = event.clientX;
    const isDrag = Math.abs(event.clientX - held.startX) >= DRAG_PX_MIN;
    if (isDrag || Math.abs(event.clientY - held.startY) >= DRAG_PX_MIN) clearTimeout(this.#longPress);
    if (this.#mode === 'pinch') this.#pinch();
    else if (this.#mode === 'look') this.#look(event);
    else if (this.#mode === 'select') {
      this.#look(event);
      const ends = [this.#moment(held.startX), this.#moment(event.clientX)].sort((a, b) => a - b);
      this.group.selection = isDrag ? { from: ends[0] ?? 0, to: ends[1] ?? 0 } : null;
    } else if (this.#mode === 'move' && this.#began) {
      const share = (held.startX - event.clientX) / (this.surface.area()?.width || 1);
      this.group.preview = shifted(this.#began, share);
    }
  }

  #up(event: PointerEvent): void {
    const held = this.#held.get(event.pointerId);
    this.#held.delete(event.pointerId);
    clearTimeout(this.#longPress);
    if (!held || this.#mode === 'none') return;
    const { selection, preview } = this.group;
    const mode = this.#mode;
    if (mode === 'pinch' && this.#held.size > 0) {
      // The other finger stays without meaning until it is lifted.
      this.#mode = 'none';
      if (preview) this.group.commit(preview);
      return;
    }
    this.#mode = 'none';
    if (mode === 'look') {
      if (!this.#isLongPressed) this.#look(event);
    } else if (mode === 'move') {
      if (preview) this.group.commit(preview);
    } else if (selection) {
      this.group.commit(saneSpan(selection.from, selection.to));
    } else if (Math.abs(event.clientX - held.startX) < DRAG_PX_MIN) {
      this.#togglePin(event.clientX);
    }
  }

  #togglePin(x: number): void {
    const moment = this.#moment(x);
    const { pinned, span } = this.group;
    const near = (spanMs(span) / (this.surface.area()?.width || 1)) * UNPIN_PX;
    const isOnPin = pinned !== null && Math.abs(pinned - moment) <= near;
    this.group.range.pin(isOnPin ? null : Math.round(moment));
  }

  /** The browser scrolls, or took the pointer away. */
  #cancel(event: PointerEvent): void {
    this.#held.delete(event.pointerId);
    clearTimeout(this.#longPress);
    this.abandon();
    this.group.leave();
  }

  #leave(): void {
    // Captured pointers do not leave, and what a tap has shown stays.
    if (this.#held.size === 0 && this.#mode === 'none' && this.group.pointer && !matchMedia('(hover: none)').matches) {
      this.group.leave();
    }
  }

  #shares(): [number, number] | null {
    const [a, b] = [...this.#held.values()];
    const area = this.surface.area();
    return a && b && area ? [(a.x - area.left) / area.width, (b.x - area.left) / area.width] : null;
  }

  #pinch(): void {
    const now = this.#shares();
    if (now && this.#began && this.#pinchBegan) this.group.preview = pinched(this.#began, this.#pinchBegan, now);
  }

  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    const factor = event.deltaY > 0 ? WHEEL_FACTOR : 1 / WHEEL_FACTOR;
    this.group.commit(zoomed(this.group.span, factor, this.#moment(event.clientX)));
  }
}
