//! What the server knows about a registered agent while it is connected; decides what of its samples is stored.
//! No I/O: the socket asks it, and does what it answers.

use pika_protocol::{DiskMetrics, ErrorCode, Sample};

use crate::domain::row::Rows;
use crate::domain::sample::{
    self, Counters, Refused, SERIES_PER_AGENT_MAX, SeriesKeys, TimeWindow, checked_disks, checked_interfaces,
};
use crate::store::ConnectedAgent;

/// A registered agent.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) agent: ConnectedAgent,
    /// Server's clock minus agent's clock, measured when it registered.
    pub(super) clock_offset_ms: i64,
    keys: SeriesKeys,
    counters: Counters,
}

/// Disks and interfaces that have no key yet.
#[derive(Clone, Debug, Default)]
pub(super) struct UnknownSeries {
    pub(super) disks: Vec<DiskMetrics>,
    pub(super) interfaces: Vec<String>,
}

impl UnknownSeries {
    pub(super) fn is_empty(&self) -> bool {
        self.disks.is_empty() && self.interfaces.is_empty()
    }
}

impl Session {
    pub(super) fn new(agent: ConnectedAgent, clock_offset_ms: i64) -> Self {
        Self { agent, clock_offset_ms, keys: SeriesKeys::default(), counters: Counters::default() }
    }

    /// The disks and interfaces of these samples that the database has to name first.
    pub(super) fn unknown_series(&self, samples: &[Sample], refused: &mut Vec<Refused>) -> UnknownSeries {
        let mut unknown = UnknownSeries::default();
        for sample in samples {
            for disk in checked_disks(sample, refused) {
                let known = self.keys.disks.contains_key(&disk.mount_point)
                    || unknown.disks.iter().any(|other| other.mount_point == disk.mount_point);
                if !known {
                    unknown.disks.push(disk.clone());
                }
            }
            for name in checked_interfaces(sample, refused) {
                let known = self.keys.interfaces.contains_key(name)
                    || unknown.interfaces.iter().any(|other| other == name);
                if !known {
                    unknown.interfaces.push(name.to_owned());
                }
            }
        }
        hold_to_limit("disks", &mut unknown.disks, self.keys.disks.len(), refused);
        hold_to_limit("networks", &mut unknown.interfaces, self.keys.interfaces.len(), refused);
        unknown
    }

    /// The database has named them.
    pub(super) fn learn(&mut self, keys: SeriesKeys) {
        self.keys.disks.extend(keys.disks);
        self.keys.interfaces.extend(keys.interfaces);
    }

    /// The rows of these samples. What may not be stored is told to `refused`.
    pub(super) fn rows(
        &mut self,
        samples: &[Sample],
        window: TimeWindow,
        refused: &mut Vec<Refused>,
    ) -> Rows {
        let mut rows = Rows::default();
        for sample in samples {
            match window.corrected(sample) {
                Ok(ts) => sample::append_rows(
                    &mut rows,
                    refused,
                    sample,
                    ts,
                    self.agent.key,
                    &self.keys,
                    &mut self.counters,
                ),
                Err(refusal) => refused.push(refusal),
            }
        }
        rows
    }
}

/// An agent that reports ever new names would fill the database with them.
fn hold_to_limit<T>(field: &str, unknown: &mut Vec<T>, known: usize, refused: &mut Vec<Refused>) {
    let room = SERIES_PER_AGENT_MAX.saturating_sub(known);
    if room < unknown.len() {
        refused.push(Refused::new(
            ErrorCode::TooMany,
            format!(
                "{field}: this agent has reported {SERIES_PER_AGENT_MAX} different ones; more are not stored"
            ),
        ));
        unknown.truncate(room);
    }
}
