// An alert rule while it is edited: what was typed, and the request that it becomes. What the editor does not show is kept.
import { fromTyped, toTyped } from '$lib/alerts/edit-units';
import type { Severity } from '$lib/queries/alerts';
import type { AlertMetric, Condition, Rule, RuleRequest, Scope, Threshold } from '$lib/queries/rules';

export const LEVELS = ['info', 'warning', 'critical'] as const satisfies readonly Severity[];

/** Kinds of conditions that can be made here. Others that a later server has are kept as they are. */
export const KINDS = [
  'metric',
  'offline',
  'noData',
  'clockOffset',
  'gap',
  'restarted',
  'identityConflict',
  'fleetOutage',
  'tagOutage',
] as const;
export type Kind = (typeof KINDS)[number];

export interface LevelDraft {
  threshold: string;
  recovery: string;
}

export interface ConditionDraft {
  kind: string;
  /** `family.metric`. */
  metric: string;
  function: string;
  windowMs: number;
  operator: string;
  /** Thresholds as typed, in the unit of `editUnit`. */
  levels: Record<Severity, LevelDraft>;
  severity: Severity;
  staleMs: number;
  minSamples: string;
  times: string;
  /** As the server said it, for kinds that the editor does not know. */
  original: Condition | null;
}

export interface ScopeDraft {
  kind: Scope['kind'];
  /** Separated by commas. */
  tags: string;
  agentIds: string[];
  exceptTags: string;
  exceptAgentIds: string[];
}

export interface RuleDraft {
  name: string;
  enabled: boolean;
  conditions: ConditionDraft[];
  scope: ScopeDraft;
  /** A line each; null: those that are real ones. */
  include: string;
  exclude: string;
  forMs: number;
  recoverForMs: number;
  repeatMs: number | null;
  told: 'default' | 'chosen' | 'nobody';
  channelIds: string[];
  runbook: string;
  runbookUrl: string;
}

type Units = ReadonlyMap<string, AlertMetric>;

/** The metrics by `family.metric`. */
export const metricsByName = (metrics: readonly AlertMetric[]): Units =>
  new Map(metrics.map((metric) => [`${metric.family}.${metric.metric}`, metric]));

/** The unit of a condition's thresholds. */
export function unitOfCondition({ kind, metric }: Pick<ConditionDraft, 'kind' | 'metric'>, metrics: Units): string {
  return kind === 'clockOffset' ? 'milliseconds' : (metrics.get(metric)?.unit ?? '');
}

const noLevels = (): Record<Severity, LevelDraft> => ({
  info: { threshold: '', recovery: '' },
  warning: { threshold: '', recovery: '' },
  critical: { threshold: '', recovery: '' },
});

export function newCondition(kind: string): ConditionDraft {
  return {
    kind,
    metric: 'cpu.usagePercent',
    function: 'avg',
    windowMs: 600_000,
    operator: 'above',
    levels: noLevels(),
    severity: kind === 'offline' ? 'critical' : 'warning',
    staleMs: 300_000,
    minSamples: '1',
    times: '3',
    original: null,
  };
}

function conditionDraft(condition: Condition, metrics: Units): ConditionDraft {
  const draft = newCondition(condition.kind);
  if (condition.family && condition.metric) draft.metric = `${condition.family}.${condition.metric}`;
  const unit = unitOfCondition(draft, metrics);
  for (const level of LEVELS) {
    const given = condition.severities?.[level];
    if (!given) continue;
    draft.levels[level] = {
      threshold: toTyped(given.threshold, unit),
      recovery: toTyped(given.recoveryThreshold, unit),
    };
  }
  return {
    ...draft,
    function: condition.function ?? draft.function,
    windowMs: condition.windowMs ?? draft.windowMs,
    operator: condition.operator ?? draft.operator,
    severity: condition.severity ?? draft.severity,
    staleMs: condition.staleMs ?? draft.staleMs,
    minSamples: String(condition.minSamples ?? draft.minSamples),
    times: String(condition.times ?? draft.times),
    original: condition,
  };
}

const listed = (text: string, separator: RegExp) => [
  ...new Set(
    text
      .split(separator)
      .map((item) => item.trim())
      .filter(Boolean),
  ),
];

export function scopeDraft(scope: Scope | null | undefined): ScopeDraft {
  return {
    kind: scope?.kind ?? 'all',
    tags: scope?.tags?.join(', ') ?? '',
    agentIds: [...(scope?.agentIds ?? [])],
    exceptTags: scope?.exceptTags?.join(', ') ?? '',
    exceptAgentIds: [...(scope?.exceptAgentIds ?? [])],
  };
}

export function scopeOf(draft: ScopeDraft): Scope {
  return {
    kind: draft.kind,
    tags: draft.kind === 'tags' ? listed(draft.tags, /,/) : [],
    agentIds: draft.kind === 'agents' ? draft.agentIds : [],
    exceptTags: listed(draft.exceptTags, /,/),
    exceptAgentIds: draft.exceptAgentIds,
  };
}

export function draftOf(rule: Rule | null, metrics: Units): RuleDraft {
  return {
    name: rule?.name ?? '',
    enabled: rule?.enabled ?? true,
    conditions: rule
      ? rule.conditions.map((condition) => conditionDraft(condition, metrics))
      : [newCondition('metric')],
    scope: scopeDraft(rule?.scope),
    include: rule?.series.include.join('\n') ?? '',
    exclude: rule?.series.exclude?.join('\n') ?? '',
    forMs: rule?.forMs ?? 300_000,
    recoverForMs: rule?.recoverForMs ?? 300_000,
    repeatMs: rule?.repeatMs ?? null,
    told: !rule?.channelIds ? 'default' : rule.channelIds.length > 0 ? 'chosen' : 'nobody',
    channelIds: [...(rule?.channelIds ?? [])],
    runbook: rule?.runbook ?? '',
    runbookUrl: rule?.runbookUrl ?? '',
  };
}

/** Whether a severity's thresholds are numbers; a way back that is left out is the threshold itself. */
export function isLevelValid({ threshold, recovery }: LevelDraft): boolean {
  if (threshold.trim() === '') return recovery.trim() === '';
  return !Number.isNaN(fromTyped(threshold, '')) && !Number.isNaN(fromTyped(recovery, ''));
}

/** Whether a condition with thresholds has one at least, and none that is no number. */
export function areLevelsValid({ kind, levels }: ConditionDraft): boolean {
  if (kind !== 'metric' && kind !== 'clockOffset') return true;
  const all = LEVELS.map((level) => levels[level]);
  return all.every(isLevelValid) && all.some(({ threshold }) => threshold.trim() !== '');
}

function levelsOf(draft: ConditionDraft, metrics: Units): Partial<Record<Severity, Threshold>> {
  const unit = unitOfCondition(draft, metrics);
  const found: Partial<Record<Severity, Threshold>> = {};
  for (const level of LEVELS) {
    const threshold = fromTyped(draft.levels[level].threshold, unit);
    if (threshold === null) continue;
    found[level] = { threshold, recoveryThreshold: fromTyped(draft.levels[level].recovery, unit) ?? threshold };
  }
  return found;
}

function conditionOf(draft: ConditionDraft, metrics: Units): Condition {
  const { kind, severity } = draft;
  if (kind === 'metric') {
    const [family = '', metric = ''] = draft.metric.split('.');
    const { windowMs, operator } = draft;
    // Not every value can be aggregated by every function.
    const names = metrics.get(draft.metric)?.functions.map(({ name }) => name) ?? [];
    const fn = names.includes(draft.function) ? draft.function : (names[0] ?? draft.function);
    return { kind, family, metric, function: fn, windowMs, operator, severities: levelsOf(draft, metrics) };
  }
  if (kind === 'clockOffset') return { kind, severities: levelsOf(draft, metrics) };
  if (kind === 'noData') return { kind, severity, staleMs: draft.staleMs };
  if (kind === 'gap') return { kind, severity, minSamples: Number(draft.minSamples) };
  if (kind === 'restarted') return { kind, severity, times: Number(draft.times), windowMs: draft.windowMs };
  if ((KINDS as readonly string[]).includes(kind)) return { kind, severity };
  return draft.original ?? { kind, severity };
}

/** Whether the rule judges mount points or interfaces each for itself. */
export function hasSeries({ conditions }: Pick<RuleDraft, 'conditions'>, metrics: Units): boolean {
  return conditions.some(({ kind, metric }) => kind === 'metric' && metrics.get(metric)?.hasSeries === true);
}

/** What a rule says that the editor does not show, or nothing for a new one. */
function kept(rule: Rule | null): Partial<RuleRequest> {
  if (!rule) return {};
  const { noData, noDataEndMs, minCoveragePercent, cooldownMs, summary, version } = rule;
  return { noData, noDataEndMs, minCoveragePercent, cooldownMs, summary, version };
}

export function requestOf(draft: RuleDraft, rule: Rule | null, metrics: Units): RuleRequest {
  const include = listed(draft.include, /\n/);
  const exclude = listed(draft.exclude, /\n/);
  // Left out, the server takes those that are real ones.
  const isSaid = rule !== null || include.length > 0 || exclude.length > 0;
  const series = {
    include: include.length > 0 ? include : ['*'],
    exclude,
    fsTypesExclude: rule?.series.fsTypesExclude ?? [],
  };
  return {
    ...kept(rule),
    name: draft.name.trim(),
    enabled: draft.enabled,
    scope: scopeOf(draft.scope),
    ...(isSaid && { series }),
    conditions: draft.conditions.map((condition) => conditionOf(condition, metrics)),
    forMs: draft.forMs,
    recoverForMs: draft.recoverForMs,
    repeatMs: draft.repeatMs,
    dependsOn: rule?.dependsOn ?? [],
    channelIds: draft.told === 'default' ? null : draft.told === 'nobody' ? [] : draft.channelIds,
    runbook: draft.runbook,
    runbookUrl: draft.runbookUrl.trim() || null,
  };
}
