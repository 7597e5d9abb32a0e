//! The conditions of a rule: what each examines, and how it judges a value.

use serde::{Deserialize, Serialize};

pub use super::function::Function;
use super::measure::Measure;
use super::severity::Severity;
use super::verdict::Outcome;
use crate::domain::family::Family;
use crate::domain::tier::{HOUR_MS, MINUTE_MS};

/// The shortest window, in milliseconds.
pub const WINDOW_MS_MIN: i64 = MINUTE_MS;
/// The longest window, in milliseconds.
pub const WINDOW_MS_MAX: i64 = 24 * HOUR_MS;
/// The longest window read from raw samples alone, and so of [`Function::Last`], in milliseconds.
pub const RAW_WINDOW_MS_MAX: i64 = 15 * MINUTE_MS;

/// For how long a disk or interface counts as missing after it was last reported, in milliseconds.
pub const MISSED_MS: i64 = 24 * HOUR_MS;

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Condition {
    /// A metric's values within a window.
    Metric(MetricCondition),
    /// The agent is not connected.
    Offline {
        /// The severity.
        severity: Severity,
    },
    /// The agent is connected, but no samples of it are stored.
    NoData {
        /// The severity.
        severity: Severity,
        /// How old its newest sample is, in milliseconds.
        stale_ms: i64,
    },
    /// A disk or interface that was reported within the last day is reported no more, while others of the agent are.
    MissingSeries {
        /// The severity.
        severity: Severity,
        /// The family's name.
        family: String,
    },
    /// A disk will be full soon if its trend continues.
    FullWithin(TrendCondition),
    /// The agent's clock is off, in milliseconds.
    ClockOffset {
        /// The thresholds.
        #[serde(rename = "severities")]
        levels: Levels,
    },
    /// The agent has had to drop samples.
    Gap {
        /// The severity.
        severity: Severity,
        /// Minimum number within an hour.
        min_samples: i64,
    },
    /// The agent has come back after being offline: it or its machine was restarted, or its connection was lost.
    Restarted {
        /// The severity.
        severity: Severity,
        /// Minimum number within the window.
        times: i64,
        /// The length of the window, in milliseconds.
        window_ms: i64,
    },
    /// Two machines use the agent's identity.
    IdentityConflict {
        /// The severity.
        severity: Severity,
    },
    /// Many agents have left at once.
    FleetOutage {
        /// The severity.
        severity: Severity,
    },
    /// Many agents with a tag have left at once.
    TagOutage {
        /// How bad that is.
        severity: Severity,
    },
    /// Pika itself is not well.
    System {
        /// How bad that is.
        severity: Severity,
        /// What is looked at.
        check: SystemCheck,
    },
}

/// What of Pika itself is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SystemCheck {
    /// A channel cannot be told; each is judged by itself, and told over the others.
    ChannelFailing,
    /// Jobs of the database do not do their work.
    DatabaseJobs,
    /// Nobody has rolled up and dropped what has expired.
    Maintenance,
    /// More than half of the agents that are connected have no new samples stored.
    IngestStalled,
    /// What rules ask for cannot be read in time.
    EvaluationSlow,
    /// The database was away: told afterwards, when it is over.
    DatabaseAway,
}

impl SystemCheck {
    /// Its name in rules, targets and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SystemCheck::ChannelFailing => "channelFailing",
            SystemCheck::DatabaseJobs => "databaseJobs",
            SystemCheck::Maintenance => "maintenance",
            SystemCheck::IngestStalled => "ingestStalled",
            SystemCheck::EvaluationSlow => "evaluationSlow",
            SystemCheck::DatabaseAway => "databaseAway",
        }
    }
}

/// A disk will be full within a number of days, judging by its free space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrendCondition {
    /// The number of days, by severity: fewer is worse.
    #[serde(rename = "severities")]
    pub levels: Levels,
    /// How much history is examined, in milliseconds.
    pub history_ms: i64,
}

/// A metric's values within a window, beyond a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricCondition {
    /// The family's name.
    pub family: String,
    /// The metric's name.
    pub metric: String,
    /// How the window's values are aggregated.
    pub function: Function,
    /// The length of the window, in milliseconds.
    pub window_ms: i64,
    /// Which side of the threshold is bad.
    pub operator: Operator,
    /// The thresholds.
    #[serde(rename = "severities")]
    pub levels: Levels,
}

/// Which side of the threshold is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    /// More than the threshold.
    Above,
    /// Less than the threshold.
    Below,
}

/// Where a condition starts to hold, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// The condition holds beyond this.
    pub threshold: f64,
    /// The condition ends on this side of that; between the two nothing changes.
    pub recovery_threshold: f64,
}

/// A threshold for each severity used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Levels {
    /// Worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Threshold>,
    /// To be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Threshold>,
    /// To be looked at now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<Threshold>,
}

impl Levels {
    /// Returns the threshold of exactly this severity.
    pub fn own(&self, severity: Severity) -> Option<Threshold> {
        match severity {
            Severity::Info => self.info,
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// Returns the threshold that applies to this severity: its own, or that of the next lower one.
    pub fn at(&self, severity: Severity) -> Option<Threshold> {
        Severity::ALL.into_iter().rev().filter(|lower| *lower <= severity).find_map(|lower| self.own(lower))
    }
}

impl Operator {
    /// Returns whether a value lies beyond a threshold.
    pub fn is_beyond(self, value: f64, threshold: f64) -> bool {
        match self {
            Operator::Above => threshold < value,
            Operator::Below => value < threshold,
        }
    }

    /// Judges a value by a threshold.
    pub fn outcome(self, value: f64, threshold: Threshold) -> Outcome {
        if self.is_beyond(value, threshold.threshold) {
            Outcome::Holds
        } else if self.is_beyond(value, threshold.recovery_threshold) {
            Outcome::Between
        } else {
            Outcome::Clear
        }
    }
}

impl MetricCondition {
    /// Returns what is examined; `None` if there is nothing with these names.
    pub fn measure(&self) -> Option<Measure> {
        Measure::find(&self.family, &self.metric)
    }
}

impl Condition {
    /// Returns the condition's kind, as written in rules.
    pub fn kind(&self) -> &'static str {
        match self {
            Condition::Metric(_) => "metric",
            Condition::Offline { .. } => "offline",
            Condition::NoData { .. } => "noData",
            Condition::MissingSeries { .. } => "missingSeries",
            Condition::FullWithin(_) => "fullWithin",
            Condition::ClockOffset { .. } => "clockOffset",
            Condition::Gap { .. } => "gap",
            Condition::Restarted { .. } => "restarted",
            Condition::IdentityConflict { .. } => "identityConflict",
            Condition::FleetOutage { .. } => "fleetOutage",
            Condition::TagOutage { .. } => "tagOutage",
            Condition::System { .. } => "system",
        }
    }

    /// Returns whether everything that the condition examines is stored for the past, too.
    pub fn is_replayable(&self) -> bool {
        match self {
            Condition::Metric(_)
            | Condition::Offline { .. }
            | Condition::NoData { .. }
            | Condition::MissingSeries { .. }
            | Condition::FullWithin(_)
            | Condition::Gap { .. }
            | Condition::Restarted { .. } => true,
            Condition::ClockOffset { .. }
            | Condition::IdentityConflict { .. }
            | Condition::FleetOutage { .. }
            | Condition::TagOutage { .. }
            | Condition::System { .. } => false,
        }
    }

    /// Returns the family whose disks or interfaces are judged individually.
    pub fn series_family(&self) -> Option<Family> {
        let family = match self {
            Condition::Metric(metric) => metric.measure().map(|measure| measure.family),
            Condition::MissingSeries { family, .. } => {
                Family::ALL.into_iter().find(|known| known.name() == family)
            }
            Condition::FullWithin(_) => Some(Family::Disk),
            _ => None,
        };
        family.filter(|family| family.series_column().is_some())
    }

    /// Returns the severity of a condition without thresholds.
    pub fn severity(&self) -> Option<Severity> {
        match self {
            Condition::Offline { severity }
            | Condition::NoData { severity, .. }
            | Condition::MissingSeries { severity, .. }
            | Condition::Gap { severity, .. }
            | Condition::Restarted { severity, .. }
            | Condition::IdentityConflict { severity }
            | Condition::FleetOutage { severity }
            | Condition::TagOutage { severity }
            | Condition::System { severity, .. } => Some(*severity),
            Condition::Metric(_) | Condition::FullWithin(_) | Condition::ClockOffset { .. } => None,
        }
    }

    /// Returns the thresholds of a condition, if it has any.
    pub fn levels(&self) -> Option<&Levels> {
        match self {
            Condition::Metric(metric) => Some(&metric.levels),
            Condition::ClockOffset { levels } => Some(levels),
            Condition::FullWithin(trend) => Some(&trend.levels),
            _ => None,
        }
    }

    /// Returns whether the condition uses this severity itself.
    pub fn has_own(&self, severity: Severity) -> bool {
        match (self.severity(), self.levels()) {
            (Some(own), _) => own == severity,
            (None, Some(levels)) => levels.own(severity).is_some(),
            (None, None) => false,
        }
    }

    /// Returns whether this severity can be judged: by its own threshold, or by that of a lower one.
    pub fn has_at(&self, severity: Severity) -> bool {
        Severity::ALL.into_iter().filter(|lower| *lower <= severity).any(|lower| self.has_own(lower))
    }

    /// Which side of the thresholds is bad.
    pub fn operator(&self) -> Operator {
        match self {
            Condition::Metric(metric) => metric.operator,
            Condition::FullWithin(_) => Operator::Below,
            _ => Operator::Above,
        }
    }

    /// Returns the length of the window that is read of samples, in milliseconds; 0 for other conditions.
    pub fn window_ms(&self) -> i64 {
        match self {
            Condition::Metric(metric) => metric.window_ms,
            Condition::MissingSeries { .. } => MISSED_MS,
            Condition::FullWithin(trend) => trend.history_ms,
            _ => 0,
        }
    }
}
