// Numbers and moments as they are written.
import { expect, it } from 'vitest';
import { bytes, count, decimal, percent, rate, share } from './numbers';
import { ago, dateTime, span, timeOfDay, zoneOffset } from './times';

it('writes sizes in binary and rates in decimal units', () => {
  expect([0, 1023, 1024, 1536, 68_719_476_736].map((n) => bytes('en', n))).toEqual([
    '0 B',
    '1,023 B',
    '1 KiB',
    '1.5 KiB',
    '64 GiB',
  ]);
  expect(bytes('en', 1024 ** 2 - 1)).toBe('1 MiB');
  expect([0, 310_000, 1_234_567, 84e6].map((n) => rate('en', 'bytes', n))).toEqual([
    '0 B/s',
    '310 kB/s',
    '1.23 MB/s',
    '84 MB/s',
  ]);
  expect(rate('en', 'bits', 1e6)).toBe('8 Mbit/s');
});

it('keeps three digits that say something', () => {
  expect([0.4242, 31.24, 99.96, 123.4].map((n) => decimal('en', n))).toEqual(['0.42', '31.2', '100', '123']);
  expect([0, 4.25, 12.4, 99.96, 100].map((n) => percent('en', n))).toEqual(['0 %', '4.3 %', '12 %', '100 %', '100 %']);
  expect(count('zh-CN', 1_234_567)).toBe('1,234,567');
});

it('cuts shares of time off: an outage is never rounded away', () => {
  expect([0, 99.949, 99.999, 100].map((n) => share('en', n))).toEqual(['0 %', '99.94 %', '99.99 %', '100 %']);
});

it('never writes zero for what is not known', () => {
  for (const write of [bytes, count, decimal, percent]) {
    expect([null, undefined, NaN].map((none) => write('en', none))).toEqual(['–', '–', '–']);
  }
  expect([rate('en', 'bits', null), dateTime('en', 'UTC', null), ago('en', null, 0), span('en', undefined)]).toEqual([
    '–',
    '–',
    '–',
    '–',
  ]);
});

it('writes ages in words, and never in the future', () => {
  const now = Date.UTC(2026, 10, 24);
  expect([0, 12_000, 90_000, 3 * 3_600_000, 30 * 3_600_000].map((ms) => ago('en', now - ms, now))).toEqual([
    'now',
    '12 seconds ago',
    '1 minute ago',
    '3 hours ago',
    'yesterday',
  ]);
  expect(ago('en', now + 5000, now)).toBe('now');
  expect([12_000, 3 * 3_600_000].map((ms) => span('en', ms))).toEqual(['12 sec', '3 hr']);
});

it('tells the hour that comes twice', () => {
  // Berlin's summer time ends at 01:00 UTC on 25 October 2026.
  const [first, second] = [Date.UTC(2026, 9, 25, 0, 30), Date.UTC(2026, 9, 25, 1, 30)];
  const zone = 'Europe/Berlin';
  expect(timeOfDay('en', zone, first)).toBe(timeOfDay('en', zone, second));
  expect([first, second].map((at) => zoneOffset('en', zone, at))).toEqual(['GMT+2', 'GMT+1']);
  expect(dateTime('en', 'UTC', first)).toBe('Oct 25, 2026, 00:30:00');
});
