// Counts seconds down, for what may be tried again when they are over.
export class Countdown {
  /** Whole seconds left. */
  seconds = $state(0);
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Begins anew. */
  start(seconds: number): void {
    clearInterval(this.#timer);
    const endsAt = performance.now() + seconds * 1000;
    this.seconds = Math.ceil(seconds);
    this.#timer = setInterval(() => {
      this.seconds = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
      if (this.seconds === 0) clearInterval(this.#timer);
    }, 250);
  }

  /** Ends it, for the page that is left. */
  stop(): void {
    clearInterval(this.#timer);
    this.seconds = 0;
  }
}
