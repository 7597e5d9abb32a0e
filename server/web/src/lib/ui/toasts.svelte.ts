// Short messages about what was done. What must not be missed belongs to the page.
export interface Toast {
  readonly id: number;
  readonly text: string;
}

const SHOWN_MS = 5000;
const AT_ONCE_MAX = 3;

class Toasts {
  shown: readonly Toast[] = $state.raw([]);
  #lastId = 0;

  show(text: string): void {
    const toast = { id: ++this.#lastId, text };
    this.shown = [...this.shown, toast].slice(-AT_ONCE_MAX);
    setTimeout(() => (this.shown = this.shown.filter(({ id }) => id !== toast.id)), SHOWN_MS);
  }
}

export const toasts = new Toasts();
