// Logging out, wherever that is asked for.
import { i18n } from '$lib/i18n/i18n.svelte';
import { router } from '$lib/router/router.svelte';
import { session } from '$lib/session.svelte';
import { explain } from '$lib/ui/explain';
import { toasts } from '$lib/ui/toasts.svelte';
import { href } from '../../routes';

export async function logOut(): Promise<void> {
  try {
    await session.end();
    router.go(href('login'));
  } catch (error) {
    toasts.show(explain(error, i18n.t));
  }
}
