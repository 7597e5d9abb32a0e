// What time it is: the server's clock says. The browser's may be wrong by minutes.
import { createSubscriber } from 'svelte/reactivity';

/** Answers of which the fastest counts. */
const ANSWERS = 10;
/** The `Date` header is cut to the second: on average half of one is missing. */
const DATE_HEADER_CUT_MS = 500;

interface Answer {
  skewMs: number;
  roundTripMs: number;
}

/** How far the server's clock is ahead of the browser's, from what its answers say. */
export class ServerClock {
  #answers: Answer[] = [];
  readonly #browserNow: () => number;

  // eslint-disable-next-line no-restricted-properties -- this is where it is put right
  constructor(browserNow: () => number = () => Date.now()) {
    this.#browserNow = browserNow;
  }

  /** Learns from an answer: when it was asked for, when it came (both by the browser's clock), and its `Date`. */
  learn(askedAt: number, answeredAt: number, date: string | null): void {
    const told = date === null ? NaN : Date.parse(date);
    if (Number.isNaN(told)) return;
    const skewMs = told + DATE_HEADER_CUT_MS - (askedAt + answeredAt) / 2;
    this.#answers = [...this.#answers.slice(1 - ANSWERS), { skewMs, roundTripMs: answeredAt - askedAt }];
  }

  get skewMs(): number {
    const [first, ...others] = this.#answers;
    if (!first) return 0;
    return others.reduce((best, answer) => (answer.roundTripMs < best.roundTripMs ? answer : best), first).skewMs;
  }

  /** The browser's time, for measuring what `learn` takes. */
  browserNow(): number {
    return this.#browserNow();
  }

  /** Milliseconds since the Unix epoch. */
  now(): number {
    return this.#browserNow() + this.skewMs;
  }
}

export const serverClock = new ServerClock();

/** Milliseconds since the Unix epoch by the server's clock. */
export const serverNow = () => serverClock.now();

const everySecond = createSubscriber((update) => {
  const timer = setInterval(() => document.hidden || update(), 1000);
  document.addEventListener('visibilitychange', update);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', update);
  };
});

/** As `serverNow`; what reads it in a template or an effect is brought up to date every second. */
export function tickingNow(): number {
  everySecond();
  return serverNow();
}
