// Single keys and short sequences as shortcuts: `j`, `g f`. They rest while somebody types, and can be switched off.
import { untrack } from 'svelte';
import { preferences } from '../preferences.svelte';
import type { Messages } from '../i18n/en';

export interface Shortcut {
  /** One key, or two with a space between them; `Space` is the space bar. */
  readonly keys: string;
  readonly label: (t: Messages) => string;
  readonly run: () => void;
}

/** How long the second key of a sequence is waited for. */
const SEQUENCE_MS = 1500;

/** Whether keys belong to what has the focus. The space bar presses buttons as well. */
function isTaken(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof Element)) return false;
  const pressed = key === 'Space' ? ', button, summary' : '';
  return target.closest(`input, textarea, select, [contenteditable], dialog, [role="menu"]${pressed}`) !== null;
}

export class Keys {
  /** Those that there are now, for the help; what was bound later comes first where two have the same keys. */
  shortcuts: readonly Shortcut[] = $state.raw([]);
  #first = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Adds shortcuts; returns how to take them away. */
  bind(shortcuts: readonly Shortcut[]): () => void {
    // Effects that bind do not depend on what others have bound.
    const change = (to: (all: readonly Shortcut[]) => readonly Shortcut[]) =>
      untrack(() => (this.shortcuts = to(this.shortcuts)));
    change((all) => [...shortcuts, ...all]);
    return () => change((all) => all.filter((shortcut) => !shortcuts.includes(shortcut)));
  }

  /** Takes a key that was pressed. */
  press(event: KeyboardEvent): void {
    if (!preferences.singleKeys || event.defaultPrevented || event.isComposing) return;
    const key = event.key === ' ' ? 'Space' : event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target, key)) return;
    const pressed = this.#first ? `${this.#first} ${key}` : key;
    this.#forget();
    const found = this.shortcuts.find(({ keys }) => keys === pressed);
    if (found) {
      event.preventDefault();
      found.run();
    } else if (this.shortcuts.some(({ keys }) => keys.startsWith(`${key} `))) {
      this.#first = key;
      this.#timer = setTimeout(() => this.#forget(), SEQUENCE_MS);
    }
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#first = '';
  }
}

export const keys = new Keys();
