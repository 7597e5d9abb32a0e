// Questions about machines and their history. Whatever answers them better one day (several families at once, a stream) is
// put here; pages do not notice.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import { queryClient } from '$lib/api/query';
import type { components } from '$lib/api/schema';
import { fleet } from '$lib/fleet/fleet.svelte';
import type { Family } from '$lib/metrics/families';

export type Agent = components['schemas']['Agent'];
export type MetricFamily = components['schemas']['MetricFamily'];
export type SampleGap = components['schemas']['SampleGap'];

/** How often the newest values are read; the fleet's stream may replace it. */
export const LATEST_EVERY_MS = 5000;
const STATUS_EVERY_MS = 15_000;
/** The past does not change, but for late samples. */
const HISTORY_STALE_MS = 60_000;

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether it can be the id of a machine at all: the server is not asked about anything else. */
export const isMachineId = (id: string) => ID.test(id);

export const machineQuery = (id: string) =>
  queryOptions({
    queryKey: ['agents', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/agents/{id}', { params: { path: { id } }, signal })),
    enabled: isMachineId(id),
    refetchInterval: STATUS_EVERY_MS,
  });

/** What a chart asks for. */
export interface Asked {
  readonly start: number;
  readonly end: number;
  readonly points: number;
}

export const metricsQuery = (id: string, type: Family, { start, end, points }: Asked) =>
  queryOptions({
    queryKey: ['metrics', id, type, start, end, points],
    queryFn: ({ signal }) => {
      const params = { path: { id }, query: { type, start, end, points } };
      return dataOf(api.GET('/api/agents/{id}/metrics', { params, signal }));
    },
    staleTime: HISTORY_STALE_MS,
    // Comparing thousands of numbers takes longer than drawing them.
    structuralSharing: false,
    placeholderData: (previous, query) => (query?.queryKey[1] === id ? keepPreviousData(previous) : undefined),
  });

/** What can be measured at all; a server learns more only with an upgrade, which reloads the page. */
export const metricTypesQuery = () =>
  queryOptions({
    queryKey: ['metric-types'],
    queryFn: async ({ signal }) => (await dataOf(api.GET('/api/metric-types', { signal }))).items,
    staleTime: Infinity,
  });

/** How many lines a chart of many series has at most: those with the largest values. */
const LINES_MAX = 8;

/** The history of some metrics of a family that the console knows only by what the server says about it. */
export const moreMetricsQuery = (id: string, family: MetricFamily, metrics: readonly string[], asked: Asked) =>
  queryOptions({
    queryKey: ['metrics', id, family.type, ...metrics, asked.start, asked.end, asked.points],
    queryFn: ({ signal }) => {
      const type = family.type as components['schemas']['MetricType'];
      const [by] = metrics;
      const ranked = family.hasSeries && by ? { top: LINES_MAX, by } : {};
      const params = { path: { id }, query: { ...asked, type, metric: [...metrics], ...ranked } };
      return dataOf(api.GET('/api/agents/{id}/metrics', { params, signal }));
    },
    staleTime: HISTORY_STALE_MS,
    structuralSharing: false,
    placeholderData: (previous, query) => (query?.queryKey[1] === id ? keepPreviousData(previous) : undefined),
  });

export const latestQuery = (id: string) =>
  queryOptions({
    queryKey: ['latest', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/agents/{id}/metrics/latest', { params: { path: { id } }, signal })),
    staleTime: LATEST_EVERY_MS / 2,
  });

export const gapsQuery = (id: string, start: number, end: number) =>
  queryOptions({
    queryKey: ['gaps', id, start, end],
    queryFn: async ({ signal }) => {
      const params = { path: { id }, query: { start, end } };
      return (await dataOf(api.GET('/api/agents/{id}/gaps', { params, signal }))).items;
    },
    staleTime: HISTORY_STALE_MS,
    placeholderData: keepPreviousData,
  });

/** When it was online. */
export const presenceQuery = (id: string, start: number, end: number) =>
  queryOptions({
    queryKey: ['presence', id, start, end],
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/agents/{id}/presence', { params: { path: { id }, query: { start, end } }, signal })),
    staleTime: STATUS_EVERY_MS,
    refetchInterval: STATUS_EVERY_MS,
    placeholderData: (previous, query) => (query?.queryKey[1] === id ? keepPreviousData(previous) : undefined),
  });

/** Reads a machine again after it was changed, here or by somebody else. */
export async function reread(id: string): Promise<void> {
  void fleet.read();
  await queryClient.invalidateQueries({ queryKey: ['agents', id] });
  await queryClient.invalidateQueries({ queryKey: ['latest', id] });
}

/** The tags of a text in which commas separate them, those of Chinese as well. */
export const tagsIn = (text: string) =>
  text
    .split(/[,，]/)
    .map((tag) => tag.trim())
    .filter(Boolean);

/** Name, tags and note together: all three are replaced; with `updatedAt` only if nobody has changed them since. */
export async function updateMachine(id: string, body: components['schemas']['AgentUpdate']): Promise<void> {
  await dataOf(api.PUT('/api/agents/{id}', { params: { path: { id } }, body }));
  await reread(id);
}

/** The token is the caller's alone: it is in no cache. */
export function enrollAgain(id: string): Promise<{ token: string; expiresAt: number }> {
  return dataOf(api.POST('/api/agents/{id}/enrollment', { params: { path: { id } }, body: {} }));
}

export async function revokeSecret(id: string): Promise<void> {
  await api.DELETE('/api/agents/{id}/secret', { params: { path: { id } } });
  await reread(id);
}

export async function deleteMachine(id: string): Promise<void> {
  await api.DELETE('/api/agents/{id}', { params: { path: { id } } });
  // The page is left at once: it must not ask about what is gone.
  void fleet.read();
}
