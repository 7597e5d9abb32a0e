// The title of the document: how many machines need attention, then the page.
import { fleet } from '$lib/fleet/fleet.svelte';

/** `(3) Fleet · Pika`. For `<svelte:head><title>`, which follows it. */
export function documentTitle(page: string): string {
  const { trouble } = fleet.store.summary;
  return `${trouble > 0 ? `(${trouble}) ` : ''}${page} · Pika`;
}
