// What rules and alerts say on the charts of one machine.
import type { Annotations } from '$lib/chart/annotations';
import { isThresholdDrawn, type Family } from '$lib/metrics/families';
import type { Alert, Severity } from '$lib/queries/alerts';
import type { Rule, Scope } from '$lib/queries/rules';

export interface Subject {
  readonly id: string;
  readonly tags: readonly string[];
  /** What a share of its memory is a share of; null: not known. */
  readonly memoryBytes: number | null;
}

const LEVELS = ['critical', 'warning', 'info'] as const satisfies readonly Severity[];

/** Whether a scope is about a machine; the server decides the same way. */
export function isAbout(scope: Scope, { id, tags }: Pick<Subject, 'id' | 'tags'>): boolean {
  const hasAny = (wanted: readonly string[] | null | undefined) => wanted?.some((tag) => tags.includes(tag)) ?? false;
  if (hasAny(scope.exceptTags) || scope.exceptAgentIds?.includes(id)) return false;
  if (scope.kind === 'tags') return hasAny(scope.tags);
  return scope.kind === 'all' || (scope.agentIds?.includes(id) ?? false);
}

export interface FoundThreshold {
  readonly severity: Severity;
  readonly isBelow: boolean;
  /** As the rule says it. */
  readonly threshold: number;
  readonly metric: string;
  /** Where it is on the chart. */
  readonly value: number;
  readonly rule: string;
}

/** The thresholds of enabled rules about a machine on the chart of a family, each once. */
export function thresholdsOf(
  family: Family,
  rules: readonly Pick<Rule, 'name' | 'enabled' | 'scope' | 'conditions'>[],
  subject: Subject,
  isHidden: (metric: string) => boolean,
): FoundThreshold[] {
  const found = rules
    .filter(({ enabled, scope }) => enabled && isAbout(scope, subject))
    .flatMap((rule) =>
      rule.conditions.flatMap((condition): FoundThreshold[] => {
        const { kind, metric = null, severities, operator } = condition;
        if (kind !== 'metric' || condition.family !== family || metric === null || isHidden(metric)) return [];
        const scale = scaleOf(family, metric, subject);
        return LEVELS.flatMap((severity) => {
          const threshold = severities?.[severity]?.threshold;
          if (threshold === undefined || scale === null) return [];
          const isBelow = operator === 'below';
          return [{ severity, isBelow, threshold, metric, value: threshold * scale, rule: rule.name }];
        });
      }),
    );
  const keys = found.map(({ severity, isBelow, value, rule }) => JSON.stringify([severity, isBelow, value, rule]));
  return found.filter((_, i) => keys.indexOf(keys[i] ?? '') === i);
}

/** What a threshold is multiplied by to be on the chart's axis; null: it is not about what is drawn. */
function scaleOf(family: Family, metric: string, { memoryBytes }: Subject): number | null {
  if (isThresholdDrawn(family, metric)) return 1;
  return family === 'memory' && metric === 'usagePercent' && memoryBytes !== null ? memoryBytes / 100 : null;
}

/** The alerts that belong on the chart of a family: those of its metrics, and those that are about none. */
export function alertsOn(family: Family, alerts: readonly Alert[], rules: readonly Rule[]): Alert[] {
  const families = new Map(
    rules.map(({ id, conditions }) => [id, conditions.flatMap((condition) => condition.family ?? [])] as const),
  );
  return alerts.filter(({ ruleId }) => {
    const of = (ruleId && families.get(ruleId)) || [];
    return of.length === 0 || of.includes(family);
  });
}

/** An alert as charts show it; its text is in words already. */
export const markOf = ({ startedAt, endedAt, peakSeverity }: Alert, text: string): Annotations['alerts'][number] => ({
  from: startedAt,
  to: endedAt ?? null,
  severity: peakSeverity,
  text,
});
