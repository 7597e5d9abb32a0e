//! Metrics of alerting.

use std::collections::BTreeMap;

use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::builder::{Builder, DURATION_BUCKETS};

/// The severities, in ascending order.
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
/// The results of evaluations.
const RESULTS: [&str; 3] = ["done", "elsewhere", "failed"];
/// The reasons for withholding an alert.
const REASONS: [&str; 7] =
    ["inhibited", "silenced", "maintenance", "quiet_hours", "snoozed", "cooldown", "settling"];

/// Numbers of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Firing alerts, by severity in ascending order.
    pub firing: [usize; 3],
    /// Alerts whose condition has not held for long enough.
    pub pending: usize,
    /// Withheld alerts, by reason.
    pub withheld: BTreeMap<&'static str, usize>,
}

/// Metrics of alerting.
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
                "Evaluations of alert rules; elsewhere: made by another server.",
                &["result"],
            )?,
            evaluation_seconds: build.histogram(
                "pika_alert_evaluation_seconds",
                "Duration of evaluations of alert rules on this server.",
                &DURATION_BUCKETS,
            )?,
            evaluated_at_seconds: build.gauge(
                "pika_alert_last_evaluation_timestamp_seconds",
                "When this server last evaluated alert rules, in seconds since the Unix epoch; 0: never.",
            )?,
            is_evaluator: build
                .gauge("pika_alert_evaluator", "1 if this server made the last evaluation that it saw.")?,
            blind_seconds: build.counter(
                "pika_alert_blind_seconds_total",
                "Time in which no server evaluated alert rules, as detected by this server.",
            )?,
            rule_failures: build.counter(
                "pika_alert_rule_failures_total",
                "Windows that could not be read in time; their rules have no result then.",
            )?,
            alerts: gauges("pika_alerts", "Alerts, as of the last evaluation here.", &["state", "severity"])?,
            withheld: gauges(
                "pika_alerts_withheld",
                "Firing alerts that are withheld, as of the last evaluation here.",
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
