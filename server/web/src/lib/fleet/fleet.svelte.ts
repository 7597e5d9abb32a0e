// The fleet of this tab: reads the lists, and follows the live connection from there on.
import { isTemporary, retryDelay } from '$lib/api/errors';
import { format } from '$lib/format/format.svelte';
import { live } from '$lib/live/live.svelte';
import { readFleet, readTrends } from '$lib/queries/fleet';
import { FleetStore } from './store.svelte';
import { TREND_POINTS } from './trend';

/** Events tell only of agents that are connected to this server, and not of names, tags and machines that are new. */
const READ_INTERVAL_MS = 60_000;
/** Machines that nobody knows yet come in crowds: they are asked for together. */
const STRANGERS_DELAY_MS = 1000;
/** Who waits longer for the stream sees the lists without it. */
const STREAM_DELAY_MS = 1500;

class Fleet {
  readonly store = new FleetStore((a, b) => format.compare(a, b));
  /** Why the lists could not be read, where waiting does not help. */
  failure: unknown = $state.raw(null);

  #isReading = false;
  #isReadAgain = false;
  #isFollowed = false;
  #failures = 0;
  #strangersTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

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
    const readFirst = () => this.store.isKnown || this.#isReading || void this.read();
    const silence = live.listen({
      opened: () => void this.#open(),
      lost: readFirst,
      event: (event) => (event.type === 'resync' ? void this.read() : this.store.receive(event)),
    });
    const hangUp = live.start();
    const streamTimer = setTimeout(readFirst, STREAM_DELAY_MS);
    const timer = setInterval(() => document.hidden || void this.read(), READ_INTERVAL_MS);
    return () => {
      this.#isFollowed = false;
      silence();
      hangUp();
      clearInterval(timer);
      clearTimeout(streamTimer);
      clearTimeout(this.#retryTimer);
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

  /** What was missed while nobody listened is in the lists, and in the past of the trends. */
  async #open(): Promise<void> {
    await this.read();
    if (!this.#isFollowed || !this.store.isKnown) return;
    try {
      // The span begins and ends within a bucket.
      this.store.recall(await readTrends(TREND_POINTS + 1));
    } catch {
      // Live values draw them all the same, and the next stream asks again.
    }
  }

  async #readOnce(): Promise<void> {
    clearTimeout(this.#retryTimer);
    this.store.beginReading();
    try {
      const { agents, latest } = await readFleet();
      if (!this.#isFollowed) return this.store.giveUpReading();
      this.store.replace(agents, latest);
      this.failure = null;
      this.#failures = 0;
    } catch (error) {
      this.store.giveUpReading();
      if (!this.#isFollowed) return;
      if (!isTemporary(error)) {
        this.failure = error;
        return;
      }
      // A stream that comes back reads them at once, and does not wait for this.
      this.#retryTimer = setTimeout(() => void this.read(), retryDelay(this.#failures++, error));
    }
  }
}

export const fleet = new Fleet();
