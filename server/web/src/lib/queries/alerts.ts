// Questions about alerts, and what people do about them.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Alert = Schemas['Alert'];
export type AlertEvent = Schemas['AlertEvent'];
export type AlertSummary = Schemas['AlertSummary'];
export type PendingAlert = Schemas['PendingAlert'];
export type AlertSettings = Schemas['AlertSettings'];
export type Severity = Schemas['AlertSeverity'];
export type AlertState = Schemas['AlertState'];

export const SEVERITIES = ['critical', 'warning', 'info'] as const satisfies readonly Severity[];
export const ALERTS_PER_PAGE = 50;
/** Rules are looked at as often. A hidden tab asks nothing. */
export const ALERTS_EVERY_MS = 15_000;

export interface AlertsAsked {
  page: number;
  state: AlertState | null;
  severity: Severity | null;
  search: string;
  agentId: string;
  ruleId: string;
  sort: Schemas['AlertSort'];
}

export const alertsKey = ['alerts'] as const;

export const alertSummaryQuery = () =>
  queryOptions({
    queryKey: [...alertsKey, 'summary'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alerts/summary', { signal })),
    refetchInterval: ALERTS_EVERY_MS,
  });

export const alertsQuery = ({ page, state, severity, search, agentId, ruleId, sort }: AlertsAsked) =>
  queryOptions({
    queryKey: [...alertsKey, 'page', { page, state, severity, search, agentId, ruleId, sort }],
    queryFn: ({ signal }) => {
      const filters = {
        ...(state && { state }),
        ...(severity && { severity }),
        ...(search && { search }),
        ...(agentId && { agentId }),
        ...(ruleId && { ruleId }),
      };
      const query = { page, pageSize: ALERTS_PER_PAGE, sort, ...filters };
      return dataOf(api.GET('/api/alerts', { params: { query }, signal }));
    },
    refetchInterval: ALERTS_EVERY_MS,
    placeholderData: keepPreviousData,
  });

/** As many as the server answers at once: with more, the oldest of them have no mark. */
const MARKS_MAX = 100;

/** What fired of a machine in a span. */
export const machineAlertsQuery = (agentId: string, from: number, to: number) =>
  queryOptions({
    queryKey: [...alertsKey, 'machine', agentId, from, to],
    queryFn: ({ signal }) => {
      const query = { agentId, from, to, pageSize: MARKS_MAX, sort: 'newest' as const };
      return dataOf(api.GET('/api/alerts', { params: { query }, signal }));
    },
    refetchInterval: ALERTS_EVERY_MS,
    placeholderData: (previous, query) => (query?.queryKey[2] === agentId ? keepPreviousData(previous) : undefined),
  });

/** What holds but does not fire yet, and what cannot be judged. */
export const pendingAlertsQuery = () =>
  queryOptions({
    queryKey: [...alertsKey, 'pending'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alerts/pending', { signal })),
    refetchInterval: ALERTS_EVERY_MS,
  });

export const alertQuery = (id: string) =>
  queryOptions({
    queryKey: [...alertsKey, 'one', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alerts/{id}', { params: { path: { id } }, signal })),
    refetchInterval: ALERTS_EVERY_MS,
  });

export const alertEventsQuery = (id: string) =>
  queryOptions({
    queryKey: [...alertsKey, 'events', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alerts/{id}/events', { params: { path: { id } }, signal })),
    refetchInterval: ALERTS_EVERY_MS,
  });

export const alertSettingsKey = ['settings', 'alerting'] as const;

export const alertSettingsQuery = () =>
  queryOptions({
    queryKey: alertSettingsKey,
    queryFn: ({ signal }) => dataOf(api.GET('/api/settings/alerting', { signal })),
  });

/** With the version that was read; 409 where somebody else was faster. */
export const setAlertSettings = (body: AlertSettings): Promise<AlertSettings> =>
  dataOf(api.PUT('/api/settings/alerting', { body }));

const of = (id: string) => ({ params: { path: { id } } });

/** An empty note leaves what was said before. */
export const acknowledge = (id: string, note: string): Promise<Alert> =>
  dataOf(api.PUT('/api/alerts/{id}/acknowledgement', { ...of(id), body: note ? { note } : {} }));

/** Many at once; each that can be is. Returns how many were not, because they had ended or are gone. */
export async function acknowledgeAll(alertIds: string[], note: string): Promise<number> {
  const body = { alertIds, ...(note && { note }) };
  const { items } = await dataOf(api.POST('/api/alerts/acknowledgements', { body }));
  return items.filter(({ error }) => error != null).length;
}

export const unacknowledge = (id: string): Promise<Alert> =>
  dataOf(api.DELETE('/api/alerts/{id}/acknowledgement', of(id)));

export const snooze = (id: string, until: number): Promise<Alert> =>
  dataOf(api.PUT('/api/alerts/{id}/snooze', { ...of(id), body: { until } }));

export const unsnooze = (id: string): Promise<Alert> => dataOf(api.DELETE('/api/alerts/{id}/snooze', of(id)));

export const setNote = (id: string, note: string): Promise<Alert> =>
  dataOf(api.POST('/api/alerts/{id}/notes', { ...of(id), body: { note } }));
