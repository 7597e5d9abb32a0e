// Details of alerts and events, whatever a server puts there.
import { expect, it } from 'vitest';
import { leftOf, numberOf, textOf } from './details';

it('finds who has left', () => {
  expect(leftOf({ away: 3, members: 3, of: 9, since: 1, names: ['a', 7, 'b'] })).toEqual({
    away: 3,
    of: 9,
    names: ['a', 'b'],
  });
  expect(leftOf({ away: 3, of: 9 })?.names).toEqual([]);
  for (const other of [{}, null, 'away', [], { away: '3', of: 9 }]) expect(leftOf(other)).toBeNull();
});

it('takes texts and numbers for what they are', () => {
  expect(textOf({ note: 'Ask Ada' }, 'note')).toBe('Ask Ada');
  expect(textOf({ note: 7 }, 'note')).toBe('');
  expect(textOf(null, 'note')).toBe('');
  expect(numberOf({ until: 7 }, 'until')).toBe(7);
  expect(numberOf({ until: '7' }, 'until')).toBeNull();
});
