//! What is counted and measured of alerting.

use std::collections::BTreeMap;

use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::builder::{Builder, DURATION_BUCKETS};

/// The severities, the least first.
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
/// What may become of an evaluation.
const RESULTS: [&str; 3] = ["done", "elsewhere", "failed"];
/// Why nobody is told of an alert.
const REASONS: [&str; 7] =
    ["inhibited", "silenced", "maintenance", "quiet_hours", "snoozed", "cooldown", "settling"];

/// How many alerts there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Those that fire, by severity, the least first.
    pub firing: [usize; 3],
    /// Those that hold, but not for long enough.
    pub pending: usize,
    /// Those that nobody is told of now, by reason.
    pub withheld: BTreeMap<&'static str, usize>,
}

/// What is counted and measured of alerting.
#[derive(Debug)]
pub(super) struct AlertMetrics {
    pub(super) evaluations: IntCounterVec,
    pub(super) evaluation_seconds: Histogram,
    pub(super) evaluated_at_seconds: IntGauge,
    pub(super) is_evaluator: IntGauge,
    pub(super) blind_seconds: IntCounter,
    pub(super) rule_failures: IntCounter,
    alerts: IntGaugeVec,
    withheld: IntGaugeVec,
}

impl AlertMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            build.add(IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let metrics = Self {
            evaluations: build.counters(
                "pika_alert_evaluations_total",
                "Evaluations of alert rules; elsewhere: another server was at it.",
                &["result"],
            )?,
            evaluation_seconds: build.histogram(
                "pika_alert_evaluation_seconds",
                "How long evaluations of alert rules take here.",
                &DURATION_BUCKETS,
            )?,
            evaluated_at_seconds: build.gauge(
                "pika_alert_last_evaluation_timestamp_seconds",
                "When this server last evaluated alert rules, in seconds since the Unix epoch; 0: not yet.",
            )?,
            is_evaluator: build
                .gauge("pika_alert_evaluator", "1 where this server made the last evaluation that it saw.")?,
            blind_seconds: build.counter(
                "pika_alert_blind_seconds_total",
                "Time in which nobody evaluated alert rules, as this server found.",
            )?,
            rule_failures: build.counter(
                "pika_alert_rule_failures_total",
                "Windows that could not be read in time; their rules say nothing then.",
            )?,
            alerts: gauges("pika_alerts", "Alerts, as of the last evaluation here.", &["state", "severity"])?,
            withheld: gauges(
                "pika_alerts_withheld",
                "Firing alerts that nobody is told of now, as of the last evaluation here.",
                &["reason"],
            )?,
        };
        for result in RESULTS {
            metrics.evaluations.with_label_values(&[result]).inc_by(0);
        }
        metrics.set_counts(&AlertCounts::default());
        Ok(metrics)
    }

    pub(super) fn set_counts(&self, counts: &AlertCounts) {
        for (severity, count) in SEVERITIES.iter().zip(counts.firing) {
            self.alerts.with_label_values(&["firing", severity]).set(as_i64(count));
        }
        self.alerts.with_label_values(&["pending", ""]).set(as_i64(counts.pending));
        for reason in REASONS {
            let count = counts.withheld.get(reason).copied().unwrap_or(0);
            self.withheld.with_label_values(&[reason]).set(as_i64(count));
        }
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
