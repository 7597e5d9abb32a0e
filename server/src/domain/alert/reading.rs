//! What is read of the fleet to judge rules by.

use std::collections::HashMap;

use uuid::Uuid;

use super::condition::Function;
use super::coverage::Window;
use crate::domain::TimestampMs;
use crate::domain::family::{Family, Metric};

/// An agent, as far as rules ask.
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
    /// Nobody gets in as this agent: that it is away is no news.
    pub is_revoked: bool,
    /// The time of its newest sample of any family.
    pub newest_at: Option<TimestampMs>,
}

/// A mount point or an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedSeries {
    /// Its key in the tables of samples.
    pub key: i32,
    /// Whose it is.
    pub agent: i32,
    /// What it is called.
    pub name: String,
    /// The type of a mount point's file system; empty for interfaces.
    pub fs_type: String,
}

/// What is to be read of a family: these values of the samples of a window, of each series.
#[derive(Clone, Debug)]
pub struct WindowQuery {
    /// Which family.
    pub family: Family,
    /// How long the window is, in milliseconds.
    pub window_ms: i64,
    /// Which values.
    pub values: Vec<(&'static Metric, Function)>,
}

/// What was read of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesReading {
    /// How many samples there are, and when.
    pub window: Window,
    /// The values in the order of the query; `None` where no sample has one.
    pub values: Vec<Option<f64>>,
}

/// What was read, by agent and series; series is 0 for families that have only one.
pub type Readings = HashMap<(i32, i32), SeriesReading>;

impl WindowQuery {
    /// Where a value is among those that were read.
    pub fn position(&self, metric: &str, function: Function) -> Option<usize> {
        self.values.iter().position(|(read, by)| read.name == metric && *by == function)
    }

    /// Wants a value, too.
    pub fn add(&mut self, metric: &'static Metric, function: Function) {
        if self.position(metric.name, function).is_none() {
            self.values.push((metric, function));
        }
    }
}
