// Finding machines.
import { expect, it } from 'vitest';
import type { Agent } from '$lib/queries/machines';
import { found } from './find';

const machine = (name: string, more: Partial<Agent> = {}) =>
  ({
    id: name,
    name,
    hostname: `${name}.example.org`,
    ip: '',
    remoteAddress: '',
    tags: [],
    ...more,
  }) as unknown as Agent;
const machines = [machine('web-1', { ip: '192.0.2.7' }), machine('web-2', { tags: ['Prod'] }), machine('db')];
const names = (text: string) => found(machines, text).map(({ name }) => name);

it('takes every word, wherever it is', () => {
  expect([names(''), names('WEB'), names('prod web'), names('0.2.7'), names('web db')]).toEqual([
    ['web-1', 'web-2', 'db'],
    ['web-1', 'web-2'],
    ['web-2'],
    ['web-1'],
    [],
  ]);
});

it('shows no more than can be looked through', () => {
  expect(
    found(
      Array.from({ length: 2000 }, (_, i) => machine(`m${i}`)),
      'm',
    ),
  ).toHaveLength(50);
});
