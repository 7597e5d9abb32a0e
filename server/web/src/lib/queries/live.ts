// The stream of what changes in the fleet.
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type FleetEvent = components['schemas']['FleetEvent'];

export function openEvents(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const query = { kinds: ['metrics' as const, 'status' as const, 'alert' as const] };
  return dataOf(api.GET('/api/events', { params: { query }, parseAs: 'stream', signal })) as Promise<
    ReadableStream<Uint8Array>
  >;
}
