// Files of what is shown.
import { expect, it } from 'vitest';
import { fileName, textCell, toCsv, type ExportedSeries } from './export';

it('defuses what a spreadsheet would take for a formula', () => {
  const hostile = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', 'a=b', 'plain', 'with,comma', '=HYPERLINK("x")'];
  expect(hostile.map(textCell)).toEqual([
    "'=1+1",
    "'+1",
    "'-1",
    "'@SUM(A1)",
    "'\t=1",
    'a=b',
    'plain',
    '"with,comma"',
    `"'=HYPERLINK(""x"")"`,
  ]);
});

it('writes one row a point, plain numbers and UTC', () => {
  const series: ExportedSeries = {
    machine: '-rf',
    family: 'cpu',
    name: '',
    metric: 'usagePercent',
    unit: 'percent',
    tier: '1m',
    intervalMs: 60_000,
    times: [0, 60_000, 120_000],
    avg: [1.5, null, -2],
    min: [1, null, -3],
    max: [2, null, 0],
  };
  expect(toCsv([series]).split('\r\n')).toEqual([
    'time,machine,family,name,metric,unit,tier,interval_ms,avg,min,max,p95',
    "1970-01-01T00:00:00.000Z,'-rf,cpu,,usagePercent,percent,1m,60000,1.5,1,2,",
    "1970-01-01T00:02:00.000Z,'-rf,cpu,,usagePercent,percent,1m,60000,-2,-3,0,",
    '',
  ]);
});

it('names files so that every system takes them', () => {
  expect(fileName('db/../7: "x"', '2026-11-24')).toBe('db-..-7-x_2026-11-24');
  expect(fileName('数据库', '.hidden')).toBe('数据库_hidden');
});
