// Questions about enrollment tokens and the agents that come by them. A token itself is only handed back.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import { ApiError } from '$lib/api/errors';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Enrollment = Schemas['Enrollment'];
export type NewEnrollment = Schemas['EnrollmentRequest'];
export type EnrollmentCreated = Schemas['EnrollmentCreated'];
export type Agent = Schemas['Agent'];

export const enrollmentsKey = ['enrollments'] as const;

export const enrollmentsQuery = () =>
  queryOptions({
    queryKey: enrollmentsKey,
    queryFn: ({ signal }) => dataOf(api.GET('/api/enrollments', { signal })),
  });

/** How often those who wait for a machine ask. */
export const WAITING_INTERVAL_MS = 2000;

/** What a token has let in, asked again and again; null once the server no longer knows it. */
export const enrollmentQuery = (id: string) =>
  queryOptions({
    queryKey: [...enrollmentsKey, id],
    queryFn: ({ signal }): Promise<Enrollment | null> =>
      dataOf(api.GET('/api/enrollments/{id}', { params: { path: { id } }, signal })).catch((error: unknown) => {
        if (error instanceof ApiError && error.code === 'not_found') return null;
        throw error;
      }),
    refetchInterval: ({ state }) => (state.data === null ? false : WAITING_INTERVAL_MS),
  });

/** The agents that a token has let in, the newest first. Asked again when its uses change. */
export const joinedAgentsQuery = (id: string, uses: number) =>
  queryOptions({
    queryKey: [...enrollmentsKey, id, 'agents', uses],
    queryFn: async ({ signal }) => {
      const query = { enrollmentId: id };
      const { items } = await dataOf(api.GET('/api/agents', { params: { query }, signal }));
      return items.sort((a, b) => b.createdAt - a.createdAt);
    },
    enabled: uses > 0,
    placeholderData: keepPreviousData,
  });

/** One agent, and its newest values once there are any. */
export const joinedAgentQuery = (agent: Agent) =>
  queryOptions({
    queryKey: [...enrollmentsKey, 'agent', agent.id],
    queryFn: async ({ signal }) => {
      const ask = { params: { path: { id: agent.id } }, signal };
      const [current, latest] = await Promise.all([
        dataOf(api.GET('/api/agents/{id}', ask)),
        dataOf(api.GET('/api/agents/{id}/metrics/latest', ask)),
      ]);
      return { agent: current, latest };
    },
    refetchInterval: WAITING_INTERVAL_MS,
  });

export const createEnrollment = (body: NewEnrollment): Promise<EnrollmentCreated> =>
  dataOf(api.POST('/api/enrollments', { body }));

export async function endEnrollment(id: string): Promise<void> {
  await api.DELETE('/api/enrollments/{id}', { params: { path: { id } } });
}
