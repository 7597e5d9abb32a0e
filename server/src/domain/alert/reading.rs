//! The readings of the fleet by which rules are judged.

use std::collections::HashMap;

use uuid::Uuid;

use super::condition::Function;
use super::coverage::Window;
use crate::domain::TimestampMs;
use crate::domain::family::{Family, Metric};

/// An agent, as far as rules need it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of agents")]
pub struct WatchedAgent {
    pub key: i32,
    pub id: Uuid,
    pub name: String,
    pub tags: Vec<String>,
    pub online: bool,
    pub last_seen_at: TimestampMs,
    pub clock_offset_ms: i64,
    pub identity_conflict_at: Option<TimestampMs>,
    /// Whether its secret was revoked, so that it is offline by intent.
    pub is_revoked: bool,
    /// The time of its newest sample of any family.
    pub newest_at: Option<TimestampMs>,
}

/// A mount point or an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedSeries {
    /// Its key in the tables of samples.
    pub key: i32,
    /// The agent's key.
    pub agent: i32,
    /// The name.
    pub name: String,
    /// The type of a mount point's file system; empty for interfaces.
    pub fs_type: String,
}

/// A query for some values of a family's samples in a window, for each series.
#[derive(Clone, Debug)]
pub struct WindowQuery {
    /// The family.
    pub family: Family,
    /// The length of the window, in milliseconds.
    pub window_ms: i64,
    /// The values to compute.
    pub values: Vec<(&'static Metric, Function)>,
}

/// The readings of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesReading {
    /// The number and times of its samples.
    pub window: Window,
    /// The values in the order of the query; `None` if no sample has one.
    pub values: Vec<Option<f64>>,
}

/// Readings by agent and series; series is 0 for families that have only one.
pub type Readings = HashMap<(i32, i32), SeriesReading>;

impl WindowQuery {
    /// Returns the position of a value among the readings.
    pub fn position(&self, metric: &str, function: Function) -> Option<usize> {
        self.values.iter().position(|(read, by)| read.name == metric && *by == function)
    }

    /// Adds a value to the query.
    pub fn add(&mut self, metric: &'static Metric, function: Function) {
        if self.position(metric.name, function).is_none() {
            self.values.push((metric, function));
        }
    }
}
