// The metrics with one value per machine, in the order of the table's columns.
import type { components } from '../api/schema';
import type { Messages } from '../i18n/en';

export const FLEET_METRICS = [
  'cpuUsagePercent',
  'memoryUsagePercent',
  'diskUsagePercent',
  'receivedBytesPerSecond',
  'sentBytesPerSecond',
  'load1',
] as const satisfies readonly components['schemas']['FleetMetric'][];
export type FleetMetric = (typeof FLEET_METRICS)[number];

/** The column of the table that shows the same. */
export const COLUMN_OF = {
  cpuUsagePercent: 'cpu',
  memoryUsagePercent: 'memory',
  diskUsagePercent: 'disk',
  receivedBytesPerSecond: 'received',
  sentBytesPerSecond: 'sent',
  load1: 'load',
} as const satisfies Record<FleetMetric, keyof Messages['fleet']['columns']>;
