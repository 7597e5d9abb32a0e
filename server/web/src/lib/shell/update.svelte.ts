// After an upgrade of the server, the parts that an open page has not loaded yet are gone. Loading the page again helps.
const RELOADED_KEY = 'pika.reloaded';
/** A second failure so soon after has another reason. */
const AGAIN_AFTER_MS = 60_000;

class Update {
  /** Loading again by itself has not helped: somebody has to decide. */
  isNeeded = $state(false);

  /** Begins to look for parts that cannot be loaded. */
  watch(): void {
    addEventListener('vite:preloadError', (event) => {
      event.preventDefault();
      if (this.#mayReload()) location.reload();
      else this.isNeeded = true;
    });
  }

  #mayReload(): boolean {
    try {
      const last = Number(sessionStorage.getItem(RELOADED_KEY) ?? 0);
      const now = performance.timeOrigin + performance.now();
      if (now - last < AGAIN_AFTER_MS) return false;
      sessionStorage.setItem(RELOADED_KEY, String(now));
      return true;
    } catch {
      // Without a memory it could go on for ever.
      return false;
    }
  }
}

export const update = new Update();
