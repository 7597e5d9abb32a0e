// The stream comes back by itself, at the right time, and not where it is not wanted.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/errors';
import { backoffDelay, EventConnection, SILENCE_MAX_MS, type ConnectionState } from './connection';

/** A server whose streams the test writes and ends. */
function harness({ random = 1 } = {}) {
  const states: ConnectionState[] = [];
  const events: string[] = [];
  const attempts: { write(text: string): void; end(): void; signal: AbortSignal }[] = [];
  let answer: Error | null = null;
  let opened = 0;
  const connection = new EventConnection({
    open: (signal) => {
      if (answer) return Promise.reject(answer);
      let controller: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({ start: (it) => void (controller = it) });
      attempts.push({
        signal,
        write: (text) => controller.enqueue(new TextEncoder().encode(text)),
        end: () => controller.close(),
      });
      return Promise.resolve(body);
    },
    onopen: () => (opened += 1),
    onevent: (event) => events.push(`${event.name} ${event.data}`),
    onstate: (state) => states.push(state),
    random: () => random,
  });
  return {
    connection,
    events,
    attempts,
    opened: () => opened,
    state: () => states.at(-1)?.is,
    refuse: (error: Error | null) => (answer = error),
  };
}

const settle = () => vi.advanceTimersByTimeAsync(0);
const refusal = (status: number, headers: Record<string, string> = {}) =>
  new ApiError(status, { code: 'unavailable' }, new Headers(headers));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a stream of events', () => {
  it('is opened, read, and opened again when it ends', async () => {
    const it = harness();
    it.connection.start();
    await settle();
    expect([it.state(), it.opened()]).toEqual(['open', 1]);
    it.attempts[0]?.write('event: status\ndata: 1\n\n');
    await settle();
    expect(it.events).toEqual(['status 1']);
    it.attempts[0]?.end();
    await settle();
    expect(it.state()).toBe('waiting');
    await vi.advanceTimersByTimeAsync(999);
    expect(it.opened()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect([it.state(), it.opened()]).toEqual(['open', 2]);
    it.connection.stop();
  });

  it('is given up after 40 s without a byte, and not while bytes come', async () => {
    const it = harness();
    it.connection.start();
    await settle();
    for (let i = 0; i < 4; i += 1) {
      await vi.advanceTimersByTimeAsync(SILENCE_MAX_MS - 1);
      it.attempts[0]?.write(':\n\n');
      await settle();
    }
    expect([it.state(), it.opened()]).toEqual(['open', 1]);
    await vi.advanceTimersByTimeAsync(SILENCE_MAX_MS);
    expect(it.state()).toBe('waiting');
    expect(it.attempts[0]?.signal.aborted).toBe(true);
    it.connection.stop();
  });

  it('is tried less and less often, and at once when asked to', async () => {
    const it = harness();
    it.refuse(new TypeError('Failed to fetch'));
    it.connection.start();
    await vi.advanceTimersByTimeAsync(1000 + 2000 + 4000 + 7999);
    expect(it.state()).toBe('waiting');
    it.refuse(null);
    it.connection.hurry();
    await settle();
    expect(it.state()).toBe('open');
    it.connection.stop();
  });

  it('waits as long as the server says', async () => {
    const it = harness({ random: 0 });
    it.refuse(refusal(503, { 'retry-after': '7' }));
    it.connection.start();
    await settle();
    it.refuse(null);
    await vi.advanceTimersByTimeAsync(6999);
    expect(it.state()).toBe('waiting');
    await vi.advanceTimersByTimeAsync(1);
    expect(it.state()).toBe('open');
    it.connection.stop();
  });

  it.each([401, 403, 404])('is not tried again after %d, until it is started again', async (status) => {
    const it = harness();
    it.refuse(refusal(status));
    it.connection.start();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(it.state()).toBe('refused');
    it.refuse(null);
    it.connection.start();
    await settle();
    expect(it.state()).toBe('open');
    it.connection.stop();
  });

  it('is closed when it is stopped', async () => {
    const it = harness();
    it.connection.start();
    await settle();
    it.connection.stop();
    await vi.advanceTimersByTimeAsync(120_000);
    expect([it.state(), it.opened(), it.attempts[0]?.signal.aborted]).toEqual(['idle', 1, true]);
  });
});

it('spreads the attempts of many consoles', () => {
  expect([1, 2, 3, 6, 40].map((failures) => backoffDelay(failures, 1))).toEqual([1000, 2000, 4000, 30_000, 30_000]);
  expect(backoffDelay(6, 0.5)).toBe(15_000);
  expect(backoffDelay(1, 0)).toBe(100);
});
