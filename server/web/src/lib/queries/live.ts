// The stream of what changes in the fleet.
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type FleetEvent = components['schemas']['FleetEvent'];

export function openEvents(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  return dataOf(api.GET('/api/events', { parseAs: 'stream', signal })) as Promise<ReadableStream<Uint8Array>>;
}
