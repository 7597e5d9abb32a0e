// What the server answers when it does not do what it was asked.
import type { components } from './schema';

/** An answer that is an error. A request without any answer is the browser's own TypeError. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  /** For programs; `unknown` where there is none. Other codes may come with later servers. */
  readonly code: string;
  /** What the server's log calls the request; empty where something on the way answered. */
  readonly requestId: string;
  /** Seconds to wait before the next attempt; null where the server does not say. */
  readonly retryAfterS: number | null;

  constructor(status: number, body: Partial<components['schemas']['Error']>, headers: Headers) {
    super(body.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? 'unknown';
    this.requestId = body.requestId ?? headers.get('x-request-id') ?? '';
    const seconds = Number(headers.get('retry-after') ?? NaN);
    this.retryAfterS = Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
  }

  static async of(response: Response): Promise<ApiError> {
    const body: unknown = await response.json().catch(() => ({}));
    return new ApiError(response.status, body && typeof body === 'object' ? body : {}, response.headers);
  }
}

/** Whether the same request may succeed later without anybody doing anything. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof ApiError) return [429, 502, 503, 504].includes(error.status);
  return error instanceof TypeError;
}

const BACKOFF_MAX_MS = 30_000;

/** Repeats what is temporary, for as long as the page wants the answer, and never anything else. */
export function retry(_failures: number, error: unknown): boolean {
  return isTemporary(error);
}

/** How long to wait: what the server says, else 1, 2, 4 … 30 s. */
export function retryDelay(failures: number, error: unknown): number {
  const said = error instanceof ApiError ? error.retryAfterS : null;
  return said === null ? Math.min(1000 * 2 ** failures, BACKOFF_MAX_MS) : Math.max(said * 1000, 1000);
}
