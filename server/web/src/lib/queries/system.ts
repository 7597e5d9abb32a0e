// Questions about Pika itself: what the server is, what is stored, how long it is kept.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Tier = 'raw' | '1m' | '1h' | '1d';
export type Retention = Schemas['Retention'];
export type Storage = Schemas['Storage'];
export type RetentionPreview = Schemas['RetentionPreview'];
export type IngestFigures = Schemas['IngestFigures'];

/** How often the figures of ingest are read; the server notes them as often. */
const INGEST_EVERY_MS = 5000;

export const systemQuery = () =>
  queryOptions({
    queryKey: ['system', 'info'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/system/info', { signal })),
    staleTime: 5 * 60_000,
  });

export const storageQuery = () =>
  queryOptions({
    queryKey: ['system', 'storage'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/system/storage', { signal })),
    refetchInterval: 60_000,
  });

export const retentionQuery = () =>
  queryOptions({
    queryKey: ['settings', 'retention'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/settings/retention', { signal })),
  });

/** What a retention would delete, and what the rest would take; null: nothing is asked. */
export const retentionPreviewQuery = (body: Retention | null) =>
  queryOptions({
    queryKey: ['settings', 'retention', 'preview', body],
    queryFn: ({ signal }) => dataOf(api.POST('/api/settings/retention/preview', { body: body ?? {}, signal })),
    enabled: body !== null,
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  });

export const ingestQuery = () =>
  queryOptions({
    queryKey: ['system', 'ingest'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/system/ingest', { signal })),
    refetchInterval: INGEST_EVERY_MS,
  });

export const setRetention = (body: Retention): Promise<Retention> =>
  dataOf(api.PUT('/api/settings/retention', { body }));

/** Grafana's dashboard of one machine; null: no Grafana is known. */
export function grafanaAddress(info: Schemas['SystemInfo'] | undefined, machineId: string): string | null {
  if (!info?.grafanaUrl) return null;
  return `${info.grafanaUrl.replace(/\/+$/, '')}/d/pika-host?${new URLSearchParams({ 'var-agent': machineId })}`;
}

/** The checksum of the script that installs agents, or null if this server offers none. */
export const scriptSumQuery = () =>
  queryOptions({
    queryKey: ['system', 'scriptSum'],
    queryFn: async ({ signal }) => {
      const answer = await fetch('/install/SHA256SUMS', { signal });
      return answer.ok ? (/^([0-9a-f]{64}) [ *]agent\.sh$/m.exec(await answer.text())?.[1] ?? null) : null;
    },
    staleTime: 60_000,
    retry: false,
  });

/** The address that machines reach: what the server has been told, else the one that the browser uses. */
export function publicAddress(info: Schemas['SystemInfo'] | undefined): string {
  return (info?.publicUrl || location.origin).replace(/\/+$/, '');
}
