// What an older or a broken page has left in the browser does no harm.
import { expect, it, vi } from 'vitest';

vi.stubGlobal('localStorage', { getItem: () => '{', setItem: () => undefined });
const { understand } = await import('./preferences.svelte');

it('takes what can be understood', () => {
  const defaults = understand({});
  expect(
    understand({ theme: 'pink', language: 'xx', zone: 'Mars/Base', rateUnit: 1, density: null, singleKeys: 'no' }),
  ).toEqual(defaults);
  expect(understand({ columns: ['cpu', 7], range: '2h' })).toEqual(defaults);
  const chosen = {
    theme: 'dark',
    language: 'zh-CN',
    zone: 'Europe/Berlin',
    rateUnit: 'bits',
    density: 'comfortable',
    singleKeys: false,
    columns: ['cpu', 'of a later console'],
    range: '24h',
  };
  expect(understand(chosen)).toEqual(chosen);
});
