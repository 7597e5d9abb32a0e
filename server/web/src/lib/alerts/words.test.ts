// Alerts in words: units, which side of a threshold is bad, and names that nobody knows.
import { describe, expect, it } from 'vitest';
import { format } from '$lib/format/format.svelte';
import { en } from '$lib/i18n/en';
import { againstThreshold, targetText, valueText, wordFor, worstOf } from './words';

const t = en.alerts;
const base = { state: 'firing', value: 95.6, peakValue: 97, threshold: 95, recoveryThreshold: 92, unit: 'percent' };

describe('a value against its threshold', () => {
  it('names the bad side by where the way back lies', () => {
    expect(againstThreshold(base, t, format)).toBe('95.6 %, above 95 %');
    const GIB = 2 ** 30;
    const free = { ...base, value: 4 * GIB, threshold: 5 * GIB, recoveryThreshold: 6 * GIB, unit: 'bytes' };
    expect(againstThreshold(free, t, format)).toBe('4 GiB, below 5 GiB');
  });

  it('goes by the value where both are one', () => {
    const same = { ...base, threshold: 10, recoveryThreshold: 10, unit: 'count' };
    expect(againstThreshold({ ...same, value: 3 }, t, format)).toBe('3, below 10');
    expect(againstThreshold({ ...same, value: 12 }, t, format)).toBe('12, above 10');
  });

  it('is the peak of what is over, and nothing where there is no value', () => {
    expect(againstThreshold({ ...base, state: 'resolved' }, t, format)).toBe('peak 97 %, above 95 %');
    expect(againstThreshold({ ...base, value: null }, t, format)).toBe('');
    expect(againstThreshold({ ...base, threshold: null }, t, format)).toBe('95.6 %');
  });
});

it('says values in their units, also in those of a later server', () => {
  expect(valueText(99.5, 'percent', format)).toBe('99.5 %');
  expect(valueText(0.25, 'perSecond', format)).toBe('0.25/s');
  expect(valueText(250, 'milliseconds', format)).toBe('250 ms');
  expect(valueText(-120_000, 'milliseconds', format)).toBe('2 min');
  expect(valueText(2, 'days', format)).toBe(format.span(172_800_000));
  expect(valueText(3, 'furlongs', format)).toBe('3 furlongs');
  expect(valueText(null, 'percent', format)).toBe('–');
});

it('says names that it knows in words, and others as they are', () => {
  expect(wordFor(t.withheld, 'quiet_hours')).toBe('quiet hours');
  expect(wordFor(t.withheld, 'toString')).toBe('toString');
  expect(targetText('fleet', t)).toBe('The fleet');
  expect(targetText('tag:web <b>', t)).toBe('Tag web <b>');
  expect(targetText(null, t)).toBe('Pika');
  expect(targetText('system:databaseJobs', t)).toBe('Pika');
  expect(targetText('rack:7', t)).toBe('rack:7');
});

it('finds the worst severity', () => {
  expect(worstOf({ critical: 0, warning: 2, info: 9 })).toBe('warning');
  expect(worstOf({ critical: 0, warning: 0, info: 0 })).toBeNull();
});
