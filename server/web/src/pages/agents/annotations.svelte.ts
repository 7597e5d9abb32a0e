// What is said on the charts of a machine beside their values: gaps, presence, alerts, thresholds.
import { createQuery } from '@tanstack/svelte-query';
import { alertsOn, markOf, thresholdsOf } from '$lib/alerts/on-charts';
import { valueText, wordFor } from '$lib/alerts/words';
import type { Annotations } from '$lib/chart/annotations';
import { format } from '$lib/format/format.svelte';
import { i18n } from '$lib/i18n/i18n.svelte';
import { isHiddenAtFirst, type Family } from '$lib/metrics/families';
import type { VisibleLines } from '$lib/metrics/visible.svelte';
import { machineAlertsQuery, type Alert } from '$lib/queries/alerts';
import { gapsQuery, presenceQuery, type Agent } from '$lib/queries/machines';
import { rulesQuery } from '$lib/queries/rules';
import type { Question } from '$lib/range/question.svelte';

/** Call while a component is set up. */
export function machineAnnotations(agent: () => Agent, question: Question) {
  const asked = () => [agent().id, question.asked.start, question.asked.end] as const;
  const gaps = createQuery(() => gapsQuery(...asked()));
  const presence = createQuery(() => presenceQuery(...asked()));
  const alerts = createQuery(() => machineAlertsQuery(...asked()));
  const rules = createQuery(() => rulesQuery());

  const explained = $derived(
    (gaps.data ?? []).map(({ start, end, reason, samples }) => ({
      start,
      end,
      text: `${wordFor(i18n.t.chart.holes, reason)} · ${i18n.t.chart.dropped(format.count(samples))}`,
    })),
  );
  const severityOf = (name: string) => wordFor(i18n.t.alerts.severities, name);
  const textOf = ({ peakSeverity, ruleName, series }: Alert) =>
    [`${severityOf(peakSeverity)}: ${ruleName}`, series].filter(Boolean).join(' · ');

  function thresholds(family: Family, memoryBytes: number | null, visible: VisibleLines): Annotations['thresholds'] {
    const { id, tags } = agent();
    const isHidden = (metric: string) => isHiddenAtFirst(family, metric) && visible.isHidden(family, metric);
    return thresholdsOf(family, rules.data?.items ?? [], { id, tags, memoryBytes }, isHidden).map((found) => {
      const unit = found.metric.endsWith('Percent') ? 'percent' : family === 'network' ? 'bytesPerSecond' : '';
      const words = found.isBelow ? i18n.t.chart.below : i18n.t.chart.above;
      const text = words(severityOf(found.severity), valueText(found.threshold, unit, format), found.rule);
      return { value: found.value, severity: found.severity, text };
    });
  }

  return {
    get gaps() {
      return gaps.data;
    },
    of: (family: Family, memoryBytes: number | null, visible: VisibleLines): Annotations => ({
      gaps: explained,
      presence: presence.data?.items ?? [],
      alerts: alertsOn(family, alerts.data?.items ?? [], rules.data?.items ?? []).map((alert) =>
        markOf(alert, textOf(alert)),
      ),
      thresholds: thresholds(family, memoryBytes, visible),
    }),
  };
}
