// What is said of a chart beside its values.
import { expect, it } from 'vitest';
import { barsOf, firedAt, levelsOf, NOTHING_SAID, reasonAt, shadesOf, type Annotations } from './annotations';

const words = { unknown: 'unknown', offline: 'offline' };
const color = (token: string) => token;
const holes = [
  { from: 100, to: 200 },
  { from: 300, to: 400 },
];
const said: Annotations = {
  ...NOTHING_SAID,
  presence: [
    { from: 0, to: 110, status: 'online' },
    { from: 110, to: 190, status: 'offline' },
    { from: 190, to: 320, status: 'online' },
    { from: 320, to: 400, status: 'unknown' },
  ],
};

it('a hole is explained by the agent, else by its being offline, else by nobody', () => {
  expect([90, 150, 195, 350].map((moment) => reasonAt(moment, holes, said, words))).toEqual([
    null,
    'offline',
    'unknown',
    'unknown',
  ]);
  const told = { ...said, gaps: [{ start: 120, end: 180, text: 'spool full' }] };
  expect(reasonAt(150, holes, told, words)).toBe('spool full');
  expect(shadesOf(holes, said, color)).toEqual([
    { from: 100, to: 200, color: '--offline', isExplained: true },
    { from: 300, to: 400, color: '--text-3', isExplained: false },
  ]);
  expect(shadesOf(holes, told, color)).toEqual([
    { from: 120, to: 180, color: '--warning', isExplained: true },
    { from: 300, to: 400, color: '--text-3', isExplained: false },
  ]);
});

it('what was spooled while offline is no hole', () => {
  expect(reasonAt(150, [], said, words)).toBeNull();
  expect(shadesOf([], said, color)).toEqual([]);
});

it('alerts lie over each other, the worst on top, and last until now', () => {
  const alerts = [
    { from: 10, to: null, severity: 'critical', text: 'disk' },
    { from: 20, to: 30, severity: 'info', text: 'errors' },
    { from: 20, to: 40, severity: 'fatal', text: 'later' },
  ];
  const bars = barsOf({ ...NOTHING_SAID, alerts }, 99, color);
  expect(bars.map(({ color, to, shape }) => [color, to, shape])).toEqual([
    ['--info', 40, 'square'],
    ['--info', 30, 'square'],
    ['--critical', 99, 'diamond'],
  ]);
  expect(firedAt(25, { ...NOTHING_SAID, alerts })).toEqual(['disk', 'errors', 'later']);
  expect(firedAt(50, { ...NOTHING_SAID, alerts })).toEqual(['disk']);
});

it('the unknown has no strip, and offline is told by its shape as well', () => {
  const bars = barsOf(said, 400, color);
  expect(bars.map(({ from, place, shape }) => [from, place, shape])).toEqual([
    [0, 'bottom', null],
    [110, 'bottom', 'ring'],
    [190, 'bottom', null],
  ]);
  const thresholds = [{ value: 90, severity: 'warning', text: '' }];
  expect(levelsOf({ ...NOTHING_SAID, thresholds }, color)).toEqual([{ value: 90, color: '--warning' }]);
});
