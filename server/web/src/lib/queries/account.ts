// Questions about the account in use, and logging in and out.
import { queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type User = components['schemas']['User'];

export const accountQuery = () =>
  queryOptions({
    queryKey: ['account'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/account/info', { signal })),
    staleTime: 60_000,
  });

/** Opens a session, which the browser keeps as a cookie that no script can read. */
export async function login(body: components['schemas']['LoginRequest']): Promise<User> {
  return (await dataOf(api.POST('/api/login', { body }))).user;
}

export async function logout(): Promise<void> {
  await api.POST('/api/logout');
}

/** What the account keeps for programs, the console among them. Read outside the cache: a later answer counts. */
export async function keptPreferences(): Promise<Record<string, unknown>> {
  const { preferences } = await dataOf(api.GET('/api/account/preferences'));
  return preferences as Record<string, unknown>;
}

export async function keepPreferences(preferences: Record<string, unknown>): Promise<void> {
  await api.PUT('/api/account/preferences', { body: { preferences } });
}
