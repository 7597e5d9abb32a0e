// Search parameters survive being written and read, and nonsense does no harm.
import { describe, expect, it } from 'vitest';
import { flag, integer, many, oneOf, readSearch, text, writeSearch } from './params';

const schema = {
  q: text(),
  status: oneOf(['online', 'offline'], null),
  view: oneOf(['table', 'tiles'], 'table'),
  page: integer(1, { min: 1, max: 100 }),
  live: flag(true),
  tag: many(),
};

describe('search parameters', () => {
  it('have their defaults where nothing is given', () => {
    const values = readSearch(schema, '');
    expect(values).toEqual({ q: '', status: null, view: 'table', page: 1, live: true, tag: [] });
    expect(writeSearch(schema, '', values)).toBe('');
  });

  it('are the same after writing and reading', () => {
    const values = {
      q: 'a b&c=ü',
      status: 'offline',
      view: 'tiles',
      page: 7,
      live: false,
      tag: ['x', 'y z'],
    } as const;
    const written = writeSearch(schema, '', values);
    expect(readSearch(schema, written)).toEqual(values);
    expect(written).toBe('?q=a+b%26c%3D%C3%BC&status=offline&view=tiles&page=7&live=0&tag=x&tag=y+z');
  });

  it('count as not given where they are nonsense', () => {
    for (const search of [
      '?page=0',
      '?page=101',
      '?page=1e1',
      '?page=',
      '?view=cards',
      '?status=',
      '?live=yes',
      '?%',
    ]) {
      expect(readSearch(schema, search)).toEqual(readSearch(schema, ''));
    }
    expect(readSearch(schema, '?tag=a&tag=b&tag=a').tag).toEqual(['a', 'b']);
  });

  it('leave those alone that nobody knows', () => {
    expect(writeSearch(schema, '?later=1&q=old&later=2', { q: 'new' })).toBe('?later=1&later=2&q=new');
    expect(writeSearch(schema, '?later=1&q=old', { q: '' })).toBe('?later=1');
  });
});
