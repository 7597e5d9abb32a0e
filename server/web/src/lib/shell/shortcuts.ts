// Keys that lead somewhere: `g` and then a letter. Off while somebody types, and for whoever has switched them off.
import { preferences } from '../preferences.svelte';
import { router } from '../router/router.svelte';

/** How long after `g` the letter may come. */
const SECOND_KEY_WITHIN_MS = 1500;
const PLACES: Readonly<Record<string, string>> = { f: '/', a: '/add', s: '/settings/status' };

/** Whether a key pressed now is a shortcut: not in a field, not in a dialog, not together with others. */
export function isShortcut(event: KeyboardEvent): boolean {
  if (!preferences.singleKeys || event.defaultPrevented || event.isComposing) return false;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = event.target instanceof Element ? event.target : document.body;
  return !target.closest('input, textarea, select, [contenteditable], dialog, [popover]');
}

/** Begins to listen. Returns how to stop. */
export function startShortcuts(): () => void {
  const stop = new AbortController();
  let leaderAt = -Infinity;
  addEventListener(
    'keydown',
    (event) => {
      if (!isShortcut(event)) return;
      const isSecond = event.timeStamp - leaderAt < SECOND_KEY_WITHIN_MS;
      leaderAt = event.key === 'g' ? event.timeStamp : -Infinity;
      const place = PLACES[event.key];
      if (!isSecond || !place) return;
      event.preventDefault();
      router.go(place);
    },
    { signal: stop.signal },
  );
  return () => stop.abort();
}
