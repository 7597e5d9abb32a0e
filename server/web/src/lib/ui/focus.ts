// Where typing begins.
import { tick } from 'svelte';

/** Attached to what is to be typed into first. Comes after a dialog around it, which focuses something itself. */
export function focus(element: HTMLElement): void {
  void tick().then(() => element.focus());
}
