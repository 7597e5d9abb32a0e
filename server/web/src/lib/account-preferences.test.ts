// Preferences follow the account.
import { beforeEach, expect, it, vi } from 'vitest';

const server = vi.hoisted(() => ({ kept: {} as Record<string, unknown>, isAway: false, puts: 0 }));
vi.mock('./queries/account', () => ({
  keptPreferences: () => (server.isAway ? Promise.reject(new Error('away')) : Promise.resolve(server.kept)),
  keepPreferences: (kept: Record<string, unknown>) => {
    if (server.isAway) return Promise.reject(new Error('away'));
    server.kept = kept;
    server.puts += 1;
    return Promise.resolve();
  },
}));
let kept = '{"theme":"dark"}';
vi.stubGlobal('localStorage', { getItem: () => kept, setItem: (_: string, value: string) => (kept = value) });
vi.stubGlobal('document', { documentElement: { dataset: {} } });

async function fresh(stored: object, account: Record<string, unknown>) {
  vi.resetModules();
  kept = JSON.stringify(stored);
  Object.assign(server, { kept: account, isAway: false, puts: 0 });
  const { preferences } = await import('./preferences.svelte');
  const { accountPreferences } = await import('./account-preferences');
  return { preferences, sync: (id: string) => accountPreferences.sync(id) };
}

beforeEach(() => vi.resetModules());

it('what the account has counts, and reading changes nothing there', async () => {
  const { preferences, sync } = await fresh({ theme: 'dark' }, { console: { theme: 'light', range: '7d' } });
  expect(preferences.theme).toBe('dark');
  await sync('ada');
  expect([preferences.theme, preferences.range, server.puts]).toEqual(['light', '7d', 0]);
});

it('what is changed is kept there beside what others keep', async () => {
  const theirs = { other: 1, console: { theme: 'dark', later: 'x', zone: 'UTC' } };
  const { preferences, sync } = await fresh({}, theirs);
  await sync('ada');
  preferences.set({ theme: 'light' });
  preferences.set({ density: 'comfortable' });
  await sync('ada');
  expect(server.kept).toEqual({
    other: 1,
    console: { theme: 'light', later: 'x', zone: 'UTC', density: 'comfortable' },
  });
});

it('an account without any takes over what was chosen here, but nothing of another account', async () => {
  const chosen = await fresh({ theme: 'dark' }, {});
  await chosen.sync('ada');
  expect([chosen.preferences.theme, server.puts]).toEqual(['dark', 0]);
  chosen.preferences.set({ zone: 'UTC' });
  await chosen.sync('ada');
  expect(server.kept).toMatchObject({ console: { theme: 'dark', zone: 'UTC' } });

  const others = await fresh({ theme: 'dark', account: 'ada', unsent: ['theme'] }, {});
  await others.sync('bob');
  expect([others.preferences.theme, server.puts]).toEqual(['system', 0]);
});

it('what could not be kept is kept at the next occasion, and is not undone by reading', async () => {
  const { preferences, sync } = await fresh({}, { console: { theme: 'light' } });
  await sync('ada');
  server.isAway = true;
  preferences.set({ theme: 'dark' });
  await sync('ada');
  expect([preferences.theme, server.puts]).toEqual(['dark', 0]);
  // The page is loaded again before the server is back.
  const again = await fresh(JSON.parse(kept) as object, server.kept);
  await again.sync('ada');
  expect([again.preferences.theme, server.puts]).toEqual(['dark', 1]);
  expect(server.kept).toEqual({ console: { theme: 'dark' } });
  server.kept = { console: { theme: 'light' } };
  await again.sync('ada');
  expect(again.preferences.theme, 'what is kept is sent once').toBe('light');
});
