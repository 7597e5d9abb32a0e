// What the palette finds, and in which order: names that begin with the text come first.
import { wordsOf } from '$lib/fleet/arrange';
import type { AgentRow } from '$lib/fleet/row.svelte';

/** More than these nobody reads: typing on is quicker. */
export const MACHINES_MAX = 50;

interface Found {
  readonly rows: readonly AgentRow[];
  readonly total: number;
}

/** How well a machine's name fits; 0 is best. */
function distance(name: string, text: string): number {
  if (name === text) return 0;
  if (name.startsWith(text)) return 1;
  const at = name.indexOf(text);
  if (at < 0) return 4;
  // `web-db` is closer to "db" than `webdb`.
  return /[^\p{L}\p{N}]/u.test(name[at - 1] ?? '') ? 2 : 3;
}

/** The machines that contain every word of the text. */
export function findMachines(rows: Iterable<AgentRow>, text: string): Found {
  const words = wordsOf(text);
  if (words.length === 0) return { rows: [], total: 0 };
  const wanted = words.join(' ');
  const byDistance: AgentRow[][] = [[], [], [], [], []];
  let total = 0;
  for (const row of rows) {
    if (!words.every((word) => row.searchText.includes(word))) continue;
    total += 1;
    byDistance[distance(row.agent.name.toLowerCase(), wanted)]?.push(row);
  }
  const best: AgentRow[] = [];
  for (const group of byDistance) {
    if (best.length >= MACHINES_MAX) break;
    best.push(...group.sort((a, b) => a.rank - b.rank).slice(0, MACHINES_MAX - best.length));
  }
  return { rows: best, total };
}

/** Whether a label has all the words. */
export const fits = (label: string, text: string) => {
  const lower = label.toLowerCase();
  return wordsOf(text).every((word) => lower.includes(word));
};
