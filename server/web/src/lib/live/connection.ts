// One stream of events that is opened again whenever it ends, until it is stopped.
import { ApiError, isTemporary } from '../api/errors';
import { SseParser, type ServerSentEvent } from './sse';

export type ConnectionState =
  | { readonly is: 'idle' }
  | { readonly is: 'opening' }
  | { readonly is: 'open' }
  /** Nothing is tried before this moment, by `performance.now()`. */
  | { readonly is: 'waiting'; readonly until: number }
  /** The server does not let this user in, or has no such stream. */
  | { readonly is: 'refused' };

export interface Wiring {
  /** Asks for the stream; throws what the server answers instead. */
  open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** The stream is there: what happens from now on will be told. */
  onopen(): void;
  onevent(event: ServerSentEvent): void;
  onstate(state: ConnectionState): void;
  /** From 0 to 1. */
  random?(): number;
}

/** The server sends a comment every 15 s; a laptop that was closed leaves a connection that says nothing for ever. */
export const SILENCE_MAX_MS = 40_000;
/** A stream that has lasted so long was a good one: the next failure is the first. */
const STEADY_MS = 10_000;
const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 30_000;

/** How long to wait after some failures: anything up to 1, 2, 4 … 30 s, so that consoles do not come back all at once. */
export function backoffDelay(failures: number, random: number, error: unknown = null): number {
  const most = Math.min(1000 * 2 ** (failures - 1), DELAY_MAX_MS);
  const said = error instanceof ApiError ? (error.retryAfterS ?? 0) * 1000 : 0;
  return Math.max(random * most, said, DELAY_MIN_MS);
}

/** Asking again is of no use: the login has ended, or this is not for this user. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && !isTemporary(error) && error.status < 500;
}

export class EventConnection {
  readonly #wiring: Wiring;
  #stop: AbortController | null = null;
  #hurry: (() => void) | null = null;

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
  }

  start(): void {
    if (this.#stop) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#wiring.onstate({ is: 'idle' });
  }

  /** Tries now what it would try later. */
  hurry(): void {
    this.#hurry?.();
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const began = performance.now();
      const error = await this.#follow(signal).catch((error: unknown) => error);
      if (signal.aborted) return;
      if (isRefusal(error)) {
        this.#stop = null;
        this.#wiring.onstate({ is: 'refused' });
        return;
      }
      failures = performance.now() - began >= STEADY_MS ? 1 : failures + 1;
      await this.#wait(backoffDelay(failures, (this.#wiring.random ?? Math.random)(), error), signal);
    }
  }

  /** Opens the stream and reads it to its end. */
  async #follow(signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    const either = AbortSignal.any([signal, silence.signal]);
    let watchdog = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
    try {
      this.#wiring.onstate({ is: 'opening' });
      const reader = (await this.#wiring.open(either)).getReader();
      // A body that does not end by itself when its request is given up.
      either.addEventListener('abort', () => void reader.cancel().catch(() => undefined), { once: true });
      this.#wiring.onstate({ is: 'open' });
      this.#wiring.onopen();
      const parser = new SseParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || either.aborted) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
        for (const event of parser.push(value)) this.#wiring.onevent(event);
      }
    } finally {
      clearTimeout(watchdog);
      silence.abort();
    }
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    this.#wiring.onstate({ is: 'waiting', until: performance.now() + ms });
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#hurry = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#hurry = done;
      signal.addEventListener('abort', done);
    });
  }
}
