// What an error is called on the page.
import { ApiError } from '$lib/api/errors';
import type { Messages } from '$lib/i18n/en';

/** In the page's language where the meaning is known, else as the server puts it. */
export function explain(error: unknown, t: Messages): string {
  if (error instanceof TypeError) return t.common.errors.unreachable;
  if (!(error instanceof ApiError)) return t.common.errors.unexpected;
  switch (error.code) {
    case 'unavailable':
      return t.common.errors.unavailable;
    case 'too_many_requests':
      return t.common.errors.tooMany;
    case 'forbidden':
      return t.common.errors.forbidden;
    case 'unknown':
      return `${t.common.errors.unexpected} (${error.message})`;
    default:
      return error.message;
  }
}
