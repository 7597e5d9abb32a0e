// Which machines are beside another.
import { expect, it } from 'vitest';
import { beside } from './listed.svelte';

const all = ['a', 'b', 'c', 'd'].map((id) => ({ id }));
const around = (id: string, ids: string[] | null) => {
  const { previous, next } = beside(id, ids, all);
  return [previous?.id, next?.id];
};

it('machines are beside each other as the fleet listed them', () => {
  expect(around('c', ['d', 'c', 'a'])).toEqual(['d', 'a']);
  expect(around('d', ['d', 'c', 'a'])).toEqual([undefined, 'c']);
  expect(around('c', ['d', 'gone', 'c'])).toEqual(['d', undefined]);
});

it('by name where the list has not this one, or was never opened', () => {
  expect(around('b', ['d', 'c'])).toEqual(['a', 'c']);
  expect(around('a', null)).toEqual([undefined, 'b']);
  expect(around('gone', ['gone', 'a'])).toEqual([undefined, undefined]);
});
