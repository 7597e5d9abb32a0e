// Questions about alert rules, and what administrators do to them.
import { queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type Rule = Schemas['AlertRule'];
export type RuleRequest = Schemas['AlertRuleRequest'];
export type Condition = Schemas['AlertCondition'];
export type Threshold = Schemas['AlertThreshold'];
export type Scope = Schemas['AlertScope'];
export type AlertMetric = Schemas['AlertMetric'];
export type RuleTest = Schemas['AlertRuleTest'];
export type RuleTestItem = Schemas['AlertRuleTestItem'];
export type BacktestRequest = Schemas['AlertRuleBacktestRequest'];
export type Backtest = Schemas['AlertRuleBacktest'];
export type BacktestItem = Schemas['AlertRuleBacktestItem'];

export const rulesKey = ['rules'] as const;

export const rulesQuery = () =>
  queryOptions({
    queryKey: [...rulesKey, 'all'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-rules', { signal })),
  });

export const ruleQuery = (id: string) =>
  queryOptions({
    queryKey: [...rulesKey, 'one', id],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-rules/{id}', { params: { path: { id } }, signal })),
  });

export const alertMetricsQuery = () =>
  queryOptions({
    queryKey: [...rulesKey, 'metrics'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/alert-rules/metrics', { signal })),
    // They change with the server alone.
    staleTime: 3_600_000,
  });

const of = (id: string) => ({ params: { path: { id } } });

export const createRule = (body: RuleRequest): Promise<Rule> => dataOf(api.POST('/api/alert-rules', { body }));

/** With the version that was read; 409 where somebody else was faster. */
export const changeRule = (id: string, body: RuleRequest): Promise<Rule> =>
  dataOf(api.PUT('/api/alert-rules/{id}', { ...of(id), body }));

export async function deleteRule(id: string): Promise<void> {
  await api.DELETE('/api/alert-rules/{id}', of(id));
}

export const setRuleEnabled = (id: string, enabled: boolean): Promise<Rule> =>
  dataOf(api.POST('/api/alert-rules/{id}/status', { ...of(id), body: { enabled } }));

/** As Pika came with it. */
export const resetRule = (id: string): Promise<Rule> => dataOf(api.POST('/api/alert-rules/{id}/reset', of(id)));

/** What the rule would say now; nothing is kept. */
export const testRule = (body: RuleRequest): Promise<RuleTest> => dataOf(api.POST('/api/alert-rules/test', { body }));

/** What the rule would have said lately; takes up to a minute. */
export const backtestRule = (body: BacktestRequest): Promise<Backtest> =>
  dataOf(api.POST('/api/alert-rules/backtest', { body }));
