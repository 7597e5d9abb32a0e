// Which errors are waited out, and for how long.
import { expect, it } from 'vitest';
import { ApiError, retry, retryDelay } from './errors';

const answer = (status: number, headers: Record<string, string> = {}) =>
  new ApiError(status, { code: 'unavailable', message: 'm', requestId: 'r' }, new Headers(headers));

it('repeats only what may come right by itself', () => {
  expect([429, 502, 503, 504].every((status) => retry(0, answer(status)))).toBe(true);
  expect([400, 401, 403, 404, 409, 422, 500].some((status) => retry(0, answer(status)))).toBe(false);
  expect(retry(9, new TypeError('Failed to fetch'))).toBe(true);
  expect(retry(0, new Error('a mistake of ours'))).toBe(false);
});

it('waits as long as the server says, else longer each time', () => {
  expect(retryDelay(0, answer(503, { 'retry-after': '7' }))).toBe(7000);
  expect(retryDelay(0, answer(503, { 'retry-after': '0' }))).toBe(1000);
  expect([0, 1, 2, 9].map((failures) => retryDelay(failures, new TypeError()))).toEqual([1000, 2000, 4000, 30_000]);
  expect(retryDelay(0, answer(503, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }))).toBe(1000);
});

it('takes what it can from an answer that is not the API’s', async () => {
  const error = await ApiError.of(new Response('<html>', { status: 502, headers: { 'x-request-id': 'proxy' } }));
  expect(error).toMatchObject({ status: 502, code: 'unknown', requestId: 'proxy', retryAfterS: null });
});
