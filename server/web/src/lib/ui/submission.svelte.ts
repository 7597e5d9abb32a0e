// Something that is sent to the server: under way, refused, or done.
import { ApiError } from '$lib/api/errors';

export class Submission {
  isBusy = $state(false);
  /** Why the last attempt failed; null: it did not. */
  error: unknown = $state.raw(null);

  /** Whether the last attempt was refused with this code. */
  wasRefused(code: ApiError['code']): boolean {
    return this.error instanceof ApiError && this.error.code === code;
  }

  /** Does it, unless it is under way already. Returns whether it was done. */
  async run(action: () => Promise<void>): Promise<boolean> {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.error = null;
    try {
      await action();
      return true;
    } catch (error) {
      this.error = error;
      return false;
    } finally {
      this.isBusy = false;
    }
  }
}
