// Questions about users, and what administrators do to them. Passwords that the server makes up are only handed back.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';
import type { User } from './account';

type Schemas = components['schemas'];
export type Role = Schemas['Role'];
export type UserChange = Schemas['UserChange'];
export type NewUser = Schemas['UserRequest'];

export const USERS_PER_PAGE = 20;

export interface UsersAsked {
  page: number;
  search: string;
}

export const usersKey = ['users'] as const;
/** Of the lists alone. */
export const userPagesKey = [...usersKey, 'page'] as const;

export const usersQuery = ({ page, search }: UsersAsked) =>
  queryOptions({
    queryKey: [...userPagesKey, { page, search }],
    queryFn: ({ signal }) => {
      const query = { page, pageSize: USERS_PER_PAGE, ...(search && { search }) };
      return dataOf(api.GET('/api/users', { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });

export const userQuery = (id: string) =>
  queryOptions({
    queryKey: [...usersKey, id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/users/{id}', { params: { path: { id } }, signal })),
  });

/** Returns the user, and the password that was made up where none was given. */
export const createUser = (body: NewUser) => dataOf(api.POST('/api/users', { body }));

export const changeUser = (id: string, body: UserChange): Promise<User> =>
  dataOf(api.PUT('/api/users/{id}', { params: { path: { id } }, body }));

export const setUserEnabled = (id: string, isEnabled: boolean): Promise<User> =>
  dataOf(api.POST('/api/users/{id}/status', { params: { path: { id } }, body: { status: isEnabled ? 1 : 0 } }));

/** Returns the password that was made up; null where one was given. */
export async function resetPassword(id: string, password?: string): Promise<string | null> {
  const body = password ? { password } : {};
  const answer = await dataOf(api.POST('/api/users/{id}/reset-password', { params: { path: { id } }, body }));
  return answer.password ?? null;
}

export async function removeUserTotp(id: string): Promise<void> {
  await api.DELETE('/api/users/{id}/totp', { params: { path: { id } } });
}

export async function deleteUser(id: string): Promise<void> {
  await api.DELETE('/api/users/{id}', { params: { path: { id } } });
}
