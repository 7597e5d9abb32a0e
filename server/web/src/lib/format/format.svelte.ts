// The formatters in the language, zone and units in effect: `format.bytes(n)`. Templates follow when those change.
import { i18n } from '../i18n/i18n.svelte';
import { preferences } from '../preferences.svelte';
import * as numbers from './numbers';
import * as times from './times';
import { collator } from './intl';

type Value = number | null | undefined;

export const format = {
  count: (value: Value) => numbers.count(i18n.language, value),
  decimal: (value: Value) => numbers.decimal(i18n.language, value),
  percent: (value: Value) => numbers.percent(i18n.language, value),
  share: (value: Value) => numbers.share(i18n.language, value),
  bytes: (value: Value) => numbers.bytes(i18n.language, value),
  /** From bytes a second. */
  rate: (value: Value) => numbers.rate(i18n.language, preferences.rateUnit, value),
  dateTime: (at: Value) => times.dateTime(i18n.language, preferences.zone, at),
  timeOfDay: (at: number, withSeconds = false) => times.timeOfDay(i18n.language, preferences.zone, at, withSeconds),
  zoneOffset: (at: number) => times.zoneOffset(i18n.language, preferences.zone, at),
  /** Against `tickingNow()`, or the text stands still. */
  ago: (at: Value, now: number) => times.ago(i18n.language, at, now),
  span: (ms: Value) => times.span(i18n.language, ms),
  /** The order of names: `web-2` before `web-10`. */
  compare: (a: string, b: string) => collator(i18n.language, { numeric: true, sensitivity: 'base' }).compare(a, b),
};
