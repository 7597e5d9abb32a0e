// One's own sessions, password, second factor and API tokens. What is shown once is handed back and kept nowhere.
import { queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Session = Schemas['Session'];
export type Scope = Schemas['Scope'];
export type ApiToken = Schemas['ApiToken'];

export const sessionsQuery = () =>
  queryOptions({
    queryKey: ['account', 'sessions'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/account/sessions', { signal })),
  });

export async function endSession(id: string): Promise<void> {
  await api.DELETE('/api/account/sessions/{id}', { params: { path: { id } } });
}

export async function changePassword(userId: string, oldPassword: string, newPassword: string): Promise<void> {
  await api.POST('/api/users/{id}/password', { params: { path: { id: userId } }, body: { oldPassword, newPassword } });
}

/** Returns the secret for the device. */
export const beginTotp = (password: string) => dataOf(api.POST('/api/account/totp', { body: { password } }));

/** Returns the recovery codes. */
export async function confirmTotp(code: string): Promise<string[]> {
  return (await dataOf(api.POST('/api/account/totp/confirm', { body: { code } }))).recoveryCodes;
}

export async function removeTotp(password: string, code: string): Promise<void> {
  await api.DELETE('/api/account/totp', { body: { password, code } });
}

/** One's own tokens, or as an administrator those of another user. */
export const tokensQuery = (userId: string | null) =>
  queryOptions({
    queryKey: ['tokens', userId],
    queryFn: ({ signal }) =>
      userId === null
        ? dataOf(api.GET('/api/tokens', { signal }))
        : dataOf(api.GET('/api/users/{id}/tokens', { params: { path: { id: userId } }, signal })),
  });

/** Returns the token. */
export const createToken = (body: Schemas['ApiTokenRequest']) => dataOf(api.POST('/api/tokens', { body }));

export async function endToken(id: string): Promise<void> {
  await api.DELETE('/api/tokens/{id}', { params: { path: { id } } });
}
