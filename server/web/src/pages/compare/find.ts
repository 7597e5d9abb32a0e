// Finds machines by what people remember of them.
import type { Agent } from '$lib/queries/machines';

const SHOWN_MAX = 50;

/** Those that have every word somewhere in name, host name, addresses or tags. */
export function found(machines: readonly Agent[], text: string): readonly Agent[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = machines.filter(({ name, hostname, ip, remoteAddress, tags }) => {
    const all = [name, hostname, ip, remoteAddress, ...tags].join('\n').toLowerCase();
    return words.every((word) => all.includes(word));
  });
  return matches.slice(0, SHOWN_MAX);
}
