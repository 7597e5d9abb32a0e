// Requests to the server, typed by its description. Every error is thrown as an ApiError.
import createClient, { type Middleware } from 'openapi-fetch';
import { serverClock } from '../clock.svelte';
import { availability } from './availability.svelte';
import { ApiError } from './errors';
import type { paths } from './schema';

type SessionEnded = () => void;
let sessionEnded: SessionEnded = () => undefined;

/** What to do when the server says that nobody is logged in. */
export function onSessionEnded(handler: SessionEnded): void {
  sessionEnded = handler;
}

const watch: Middleware = {
  async onResponse({ response }) {
    if (response.ok) {
      availability.note(null);
      return;
    }
    const error = await ApiError.of(response);
    availability.note(error);
    // A refused login has codes of its own.
    if (error.code === 'unauthorized') sessionEnded();
    throw error;
  },
  onError({ error }) {
    // A page that is left aborts its requests.
    if (!(error instanceof DOMException && error.name === 'AbortError')) availability.note(error);
  },
};

async function timedFetch(request: Request): Promise<Response> {
  const askedAt = serverClock.browserNow();
  const response = await fetch(request);
  serverClock.learn(askedAt, serverClock.browserNow(), response.headers.get('date'));
  return response;
}

/** `api.GET('/api/agents', { params, signal })`. Use with `dataOf`. */
export const api = createClient<paths>({ baseUrl: location.origin, fetch: timedFetch });
api.use(watch);

/** The body of a good answer. */
export async function dataOf<T>(answer: Promise<{ data?: T }>): Promise<NonNullable<T>> {
  // Errors are thrown before; 204 has no body and is not asked for it.
  return (await answer).data as NonNullable<T>;
}
