// Questions about channels and what was sent to them, and what administrators do with them. Secrets only go to the server.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Channel = Schemas['AlertChannel'];
export type ChannelKind = Schemas['AlertChannelKind'];
export type ChannelField = Schemas['AlertChannelField'];
export type ChannelRequest = Schemas['AlertChannelRequest'];
export type ChannelTest = Schemas['AlertChannelTest'];
export type ChannelSample = Schemas['AlertSample'];
export type ShownRequest = Schemas['AlertRequestShown'];
export type Delivery = Schemas['AlertDelivery'];
export type DeliveryStatus = Schemas['AlertDeliveryStatus'];

export const DELIVERIES_PER_PAGE = 50;
const DELIVERIES_EVERY_MS = 10_000;

export const channelsKey = ['channels'] as const;
export const deliveriesKey = ['deliveries'] as const;

export const channelKindsQuery = () =>
  queryOptions({
    queryKey: [...channelsKey, 'kinds'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-channel-kinds', { signal })),
    // They change with the server alone.
    staleTime: 3_600_000,
  });

export const channelsQuery = () =>
  queryOptions({
    queryKey: [...channelsKey, 'all'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-channels', { signal })),
  });

export const channelQuery = (id: string) =>
  queryOptions({
    queryKey: [...channelsKey, 'one', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-channels/{id}', { params: { path: { id } }, signal })),
  });

const of = (id: string) => ({ params: { path: { id } } });

export const createChannel = (body: ChannelRequest): Promise<Channel> =>
  dataOf(api.POST('/api/alert-channels', { body }));

/** With the version that was read; 409 where somebody else was faster. */
export const changeChannel = (id: string, body: ChannelRequest): Promise<Channel> =>
  dataOf(api.PUT('/api/alert-channels/{id}', { ...of(id), body }));

export async function deleteChannel(id: string): Promise<void> {
  await api.DELETE('/api/alert-channels/{id}', of(id));
}

export const setChannelEnabled = (id: string, enabled: boolean): Promise<Channel> =>
  dataOf(api.POST('/api/alert-channels/{id}/status', { ...of(id), body: { enabled } }));

/** Sends one real message now. */
export const testChannel = (id: string): Promise<ChannelTest> =>
  dataOf(api.POST('/api/alert-channels/{id}/test', of(id)));

/** The same for one that is not kept; secrets that are left out are those of the channel `id`. */
export const testNewChannel = (channel: ChannelRequest, id: string | null): Promise<ChannelTest> =>
  dataOf(api.POST('/api/alert-channels/test', { body: { channel, ...(id && { id }) } }));

/** The requests that a made-up message would be. */
export async function previewChannel(channel: ChannelRequest, sample: ChannelSample): Promise<ShownRequest[]> {
  return (await dataOf(api.POST('/api/alert-channels/preview', { body: { channel, sample } }))).requests;
}

export interface DeliveriesAsked {
  page: number;
  channelId: string;
  alertId: string;
  status: DeliveryStatus | null;
}

export const deliveriesQuery = ({ page, channelId, alertId, status }: DeliveriesAsked) =>
  queryOptions({
    queryKey: [...deliveriesKey, { page, channelId, alertId, status }],
    queryFn: ({ signal }) => {
      const filters = { ...(channelId && { channelId }), ...(alertId && { alertId }), ...(status && { status }) };
      const query = { page, pageSize: DELIVERIES_PER_PAGE, ...filters };
      return dataOf(api.GET('/api/alert-deliveries', { params: { query }, signal }));
    },
    refetchInterval: DELIVERIES_EVERY_MS,
    placeholderData: keepPreviousData,
  });

export async function retryDelivery(id: string): Promise<void> {
  await api.POST('/api/alert-deliveries/{id}/retry', of(id));
}
