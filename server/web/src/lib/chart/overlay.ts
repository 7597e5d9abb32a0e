// What moves over a chart without drawing it again: the crosshair, the dots on the lines, the pinned moment, the selection.

/** The parts of a chart that are laid over its plotting area. */
export class Overlay {
  readonly #crosshair = element('crosshair');
  readonly #pin = element('pin');
  readonly #selection = element('selection');
  #dots: HTMLElement[] = [];

  constructor(readonly host: HTMLElement) {
    host.append(this.#selection, this.#pin, this.#crosshair);
  }

  /** Positions are pixels from the left of the plotting area; null: not there. */
  crosshair(left: number | null): void {
    moveTo(this.#crosshair, left);
  }

  pin(left: number | null): void {
    moveTo(this.#pin, left);
  }

  selection(ends: { left: number; right: number } | null): void {
    this.#selection.hidden = ends === null;
    if (!ends) return;
    this.#selection.style.transform = `translateX(${ends.left}px)`;
    this.#selection.style.width = `${Math.max(0, ends.right - ends.left)}px`;
  }

  dots(points: readonly { left: number; top: number; color: string }[]): void {
    while (this.#dots.length < points.length) {
      const dot = element('dot');
      this.#dots.push(dot);
      this.host.append(dot);
    }
    for (const [i, dot] of this.#dots.entries()) {
      const point = points[i];
      dot.hidden = !point;
      if (!point) continue;
      dot.style.transform = `translate(${point.left}px, ${point.top}px)`;
      dot.style.background = point.color;
    }
  }
}

function element(name: string): HTMLElement {
  const made = document.createElement('div');
  made.className = `chart-${name}`;
  made.hidden = true;
  return made;
}

function moveTo(line: HTMLElement, left: number | null): void {
  line.hidden = left === null;
  if (left !== null) line.style.transform = `translateX(${left}px)`;
}
