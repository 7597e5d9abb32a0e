// The fleet of this tab: reads the lists, and follows the live connection from there on.
import { queryClient } from '$lib/api/query';
import { format } from '$lib/format/format.svelte';
import { live } from '$lib/live/live.svelte';
import { fleetQuery } from '$lib/queries/fleet';
import { FleetStore } from './store.svelte';

/** Events tell only of agents that are connected to this server, and not of names, tags and machines that are new. */
const READ_INTERVAL_MS = 60_000;
/** Machines that nobody knows yet come in crowds: they are asked for together. */
const STRANGERS_DELAY_MS = 1000;

class Fleet {
  readonly store = new FleetStore((a, b) => format.compare(a, b));
  /** Why the lists could not be read, where waiting does not help. */
  failure: unknown = $state.raw(null);

  #isReading = false;
  #isReadAgain = false;
  #isFollowed = false;
  #strangersTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.store.onstranger = () => {
      this.#strangersTimer ??= setTimeout(() => {
        this.#strangersTimer = undefined;
        void this.read();
      }, STRANGERS_DELAY_MS);
    };
  }

  /** Follows the fleet for whoever is logged in. Returns how to stop. */
  follow(): () => void {
    this.#isFollowed = true;
    const silence = live.listen({
      opened: () => void this.read(),
      event: (event) => (event.type === 'resync' ? void this.read() : this.store.receive(event)),
    });
    const hangUp = live.start();
    // What is known is shown, also where the stream does not come about.
    void this.read();
    const timer = setInterval(() => document.hidden || void this.read(), READ_INTERVAL_MS);
    return () => {
      this.#isFollowed = false;
      silence();
      hangUp();
      clearInterval(timer);
      clearTimeout(this.#strangersTimer);
      this.#strangersTimer = undefined;
    };
  }

  /** Reads the lists. A change that comes after this was called is not missed. */
  async read(): Promise<void> {
    // An answer that is under way may be older than the change that it is asked for.
    if (this.#isReading) {
      this.#isReadAgain = true;
      return;
    }
    this.#isReading = true;
    do {
      this.#isReadAgain = false;
      await this.#readOnce();
    } while (this.#isReadAgain && this.#isFollowed);
    this.#isReading = false;
  }

  async #readOnce(): Promise<void> {
    this.store.beginReading();
    try {
      const { agents, latest } = await queryClient.fetchQuery(fleetQuery());
      if (!this.#isFollowed) return this.store.giveUpReading();
      this.store.replace(agents, latest);
      this.failure = null;
    } catch (error) {
      this.store.giveUpReading();
      if (this.#isFollowed) this.failure = error;
    }
  }
}

export const fleet = new Fleet();
