// What share of a time a machine was online, and of how much of it anything is known.
import type { components } from '../api/schema';

type Presence = components['schemas']['Presence'];

/** What is not known of less than this share is not worth a word. */
const KNOWN_SHARE = 0.98;

export function availabilityOf({ items, uptimePercent }: Presence, wantedMs: number) {
  const known = items.filter(({ status }) => status === 'online' || status === 'offline');
  const knownMs = known.reduce((sum, { from, to }) => sum + to - from, 0);
  const wasOffline = known.some(({ status }) => status === 'offline');
  const percent = uptimePercent ?? null;
  // Who was offline for a moment was not there all the time, whatever the rounding says.
  return {
    percent: percent !== null && wasOffline ? Math.min(percent, 99.99) : percent,
    knownMs,
    isPartial: knownMs < wantedMs * KNOWN_SHARE,
  };
}
