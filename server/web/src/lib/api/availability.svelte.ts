// Whether the server answers, and whether its database does: the bar under the header says so.
import { ApiError } from './errors';

export type Outage = 'unreachable' | 'unavailable';

class Availability {
  /** What is away; null: nothing. */
  outage: Outage | null = $state.raw(null);

  /** Any answer but 503 shows that all is well. */
  note(error: unknown): void {
    if (error instanceof ApiError) this.outage = error.status === 503 ? 'unavailable' : null;
    else this.outage = error instanceof TypeError ? 'unreachable' : null;
  }
}

export const availability = new Availability();
