// The table of pages agrees with what the server serves.
import { expect, it } from 'vitest';
import { navigation } from '$lib/shell/navigation';
import server from '../../src/routes/console.rs?raw';
import { findRoute, href, routes } from './routes';

it('finds every page by its path, and nothing elsewhere', () => {
  for (const [name, { path }] of Object.entries(routes)) {
    expect(findRoute(path.replace(/:\w+/g, 'x'))?.name).toBe(name);
  }
  expect(findRoute('/nothing')).toBeNull();
  expect(href('login')).toBe('/login');
});

it('has no page that the server does not serve', () => {
  const segments = /const SEGMENTS[^=]*=\s*\[(.*?)\];/s.exec(server)?.[1]?.match(/\w+/g);
  expect(segments).toContain('login');
  for (const { path } of Object.values(routes)) {
    const [, first = ''] = path.split('/');
    if (first) expect(segments).toContain(first);
  }
});

it('leaves room for "More" on phones', () => {
  expect(navigation.filter((item) => item.isOnPhone).length).toBeLessThanOrEqual(3);
});
