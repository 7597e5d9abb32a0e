// The fleet page's state, which is in its address.
import { fleetSearch } from '$lib/fleet/search';
import { useSearch } from '$lib/router/router.svelte';

export const useFleetSearch = () => useSearch(fleetSearch);
export type FleetSearch = ReturnType<typeof useFleetSearch>;
