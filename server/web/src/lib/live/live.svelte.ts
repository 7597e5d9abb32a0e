// The live connection of this tab: one stream for all its pages, closed while nobody looks.
import { serverNow } from '../clock.svelte';
import { openEvents, type FleetEvent } from '../queries/live';
import { EventConnection, type ConnectionState } from './connection';

export interface Listener {
  /** The stream is there: read now what it will tell the changes of. */
  opened?(): void;
  /** It could not be opened, or has ended. */
  lost?(): void;
  event(event: FleetEvent): void;
}

/** Browsers open six connections to an origin for all tabs together: hidden ones give theirs back. */
const HIDDEN_MAX_MS = 30_000;

class Live {
  state: ConnectionState = $state.raw({ is: 'idle' });
  /** Since when nothing comes that should; null while all is well. By `performance.now()`. */
  lostSince: number | null = $state.raw(null);
  /** When the server was last heard, by its clock. */
  heardAt: number | null = $state.raw(null);

  readonly #listeners = new Set<Listener>();
  readonly #connection = new EventConnection({
    open: openEvents,
    onopen: () => {
      for (const listener of this.#listeners) listener.opened?.();
    },
    onevent: ({ data }) => {
      this.heardAt = serverNow();
      const event = JSON.parse(data) as FleetEvent;
      for (const listener of this.#listeners) listener.event(event);
    },
    onstate: (state) => this.#note(state),
  });

  /** Follows the fleet while somebody looks at the page. Returns how to stop. */
  start(): () => void {
    const stop = new AbortController();
    const { signal } = stop;
    let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(hiddenTimer);
      if (document.hidden) {
        hiddenTimer = setTimeout(() => this.#connection.stop(), HIDDEN_MAX_MS);
      } else {
        this.#connection.start();
        this.#connection.hurry();
      }
    };
    document.addEventListener('visibilitychange', look, { signal });
    addEventListener('online', () => this.#connection.hurry(), { signal });
    look();
    return () => {
      stop.abort();
      clearTimeout(hiddenTimer);
      this.#connection.stop();
    };
  }

  /** Tells somebody of every event from now on. Returns how to stop. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.state.is === 'open') listener.opened?.();
    return () => this.#listeners.delete(listener);
  }

  /** Tries now what it would try later. */
  hurry(): void {
    this.#connection.hurry();
  }

  #note(state: ConnectionState): void {
    if (state.is === 'open') this.heardAt = serverNow();
    if (state.is === 'open' || state.is === 'idle') this.lostSince = null;
    else this.lostSince ??= performance.now();
    this.state = state;
    if (state.is !== 'waiting' && state.is !== 'refused') return;
    for (const listener of this.#listeners) listener.lost?.();
  }
}

export const live = new Live();
