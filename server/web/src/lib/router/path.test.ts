// Paths, and the address after a login, which must never be another site's.
import { describe, expect, it } from 'vitest';
import { fillPath, matchPath, safeNext } from './path';

describe('patterns of paths', () => {
  it('give and take parameters', () => {
    expect(matchPath('/', '/')).toEqual({});
    expect(matchPath('/agents/:id', '/agents/a%2Fb/')).toEqual({ id: 'a/b' });
    expect(fillPath('/agents/:id', { id: 'a/b' })).toBe('/agents/a%2Fb');
  });

  it('match whole paths only', () => {
    for (const path of ['/agents', '/agents/1/2', '/agent/1', '/agents/%ff']) {
      expect(matchPath('/agents/:id', path)).toBeNull();
    }
  });
});

describe('the address after a login', () => {
  const origin = 'https://pika.example.org';

  it('is the one that was asked for', () => {
    expect(safeNext('/agents/1?range=6h#cpu', origin)).toBe('/agents/1?range=6h#cpu');
  });

  it.each([
    '',
    'agents',
    'https://evil.example',
    'javascript:alert(1)',
    '//evil.example/a',
    '/\\evil.example',
    '/\t/evil.example',
    '/login?next=/login',
  ])('is the start page for %j', (next) => {
    expect(safeNext(next, origin)).toBe('/');
  });

  it('stays here when it is used again', () => {
    for (const next of ['/.//evil.example', '/a/..//evil.example', '/%2e//evil.example']) {
      expect(new URL(safeNext(next, origin), origin).origin).toBe(origin);
    }
  });
});
