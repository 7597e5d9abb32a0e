// The palette finds a machine by whatever is known of it, the best name first, among twenty thousand at once.
import { describe, expect, it } from 'vitest';
import { AgentRow } from '$lib/fleet/row.svelte';
import { agent } from '$lib/fleet/samples';
import { findMachines, MACHINES_MAX } from './find';

const rowsOf = (...names: string[]) =>
  names.map((name, rank) => Object.assign(new AgentRow(agent({ id: name, tags: ['lab'] })), { rank }));
const names = (found: ReturnType<typeof findMachines>) => found.rows.map(({ id }) => id).join(' ');

describe('the palette', () => {
  it('has the best name first', () => {
    const rows = rowsOf('adbx', 'web-db', 'db-2', 'db', 'other');
    expect(names(findMachines(rows, 'DB'))).toBe('db db-2 web-db adbx');
  });

  it('finds by host, address and tag, with all words', () => {
    const rows = rowsOf('a', 'b');
    expect(names(findMachines(rows, 'b.example.org'))).toBe('b');
    expect(names(findMachines(rows, '192.0.2.2 lab'))).toBe('a b');
    expect(findMachines(rows, 'lab nowhere').total).toBe(0);
    expect(findMachines(rows, ' ').total).toBe(0);
  });

  it('says how many more there are', () => {
    const rows = rowsOf(...Array.from({ length: 20_000 }, (_, i) => `node-${i}`));
    const began = performance.now();
    const found = findMachines(rows, 'node-1999');
    expect(performance.now() - began, 'milliseconds').toBeLessThan(50);
    expect([found.total, found.rows[0]?.id]).toEqual([11, 'node-1999']);
    const all = findMachines(rows, 'node');
    expect([all.total, all.rows.length]).toEqual([20_000, MACHINES_MAX]);
  });
});
