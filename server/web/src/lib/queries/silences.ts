// Questions about silences, and what administrators do to them.
import { queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Silence = Schemas['AlertSilence'];
export type SilenceRequest = Schemas['AlertSilenceRequest'];
export type SilenceKind = Schemas['AlertSilenceKind'];
export type SilencePreview = Schemas['AlertSilencePreview'];

export const silencesKey = ['silences'] as const;

export const silencesQuery = () =>
  queryOptions({
    queryKey: silencesKey,
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-silences', { signal })),
    refetchInterval: 60_000,
  });

const of = (id: string) => ({ params: { path: { id } } });

export const createSilence = (body: SilenceRequest): Promise<Silence> =>
  dataOf(api.POST('/api/alert-silences', { body }));

export const changeSilence = (id: string, body: SilenceRequest): Promise<Silence> =>
  dataOf(api.PUT('/api/alert-silences/{id}', { ...of(id), body }));

export async function deleteSilence(id: string): Promise<void> {
  await api.DELETE('/api/alert-silences/{id}', of(id));
}

/** When it would be quiet next, and whom it would be about. */
export const previewSilence = (body: SilenceRequest): Promise<SilencePreview> =>
  dataOf(api.POST('/api/alert-silences/preview', { body }));
