// Finds machines by what people remember of them.
import { wordsOf } from '$lib/fleet/arrange';
import type { Agent } from '$lib/queries/machines';

const SHOWN_MAX = 50;

/** Those that have every word somewhere in name, host name, addresses or tags. */
export function found(machines: readonly Agent[], text: string): readonly Agent[] {
  const words = wordsOf(text);
  const matches = machines.filter(({ name, hostname, ip, remoteAddress, tags }) => {
    const all = [name, hostname, ip, remoteAddress, ...tags].join('\n').toLowerCase();
    return words.every((word) => all.includes(word));
  });
  return matches.slice(0, SHOWN_MAX);
}
