//! What the server knows about a connected agent; decides which of its samples are stored. Does no I/O: the connection
//! asks it and acts.

use std::collections::HashMap;

use pika_protocol::{ErrorCode, Sample};

use super::clock_offset::ClockOffset;
use super::series_resolution::Resolution;
use crate::domain::TimestampMs;
use crate::domain::family::PerTable;
use crate::domain::history::SampleHistory;
use crate::domain::id::AgentKey;
use crate::domain::refused::Refused;
use crate::domain::row::Rows;
use crate::domain::sample::append_rows;
use crate::domain::series::{
    ReportedSeries, SERIES_PER_AGENT_MAX, SERIES_RENEWAL_MS, SeriesKeys, SeriesLabels, keep_valid_series,
    unknown_series,
};
use crate::domain::time_window::TimeWindow;
use crate::store::ConnectedAgent;

/// How long refused names are not asked for again.
const DENIED_MS: i64 = 600_000;

/// A registered agent.
#[derive(Debug)]
pub(super) struct AgentSession {
    pub(super) agent: ConnectedAgent,
    pub(super) clock: ClockOffset,
    keys: SeriesKeys,
    /// When all keys have to be resolved again.
    renew_at: TimestampMs,
    /// The keys to use until then, while they are being resolved.
    renewing: Option<SeriesKeys>,
    denied: PerTable<DeniedNames>,
    history: SampleHistory,
}

impl AgentSession {
    /// `now` is the server's clock.
    pub(super) fn new(agent: ConnectedAgent, clock: ClockOffset, now: TimestampMs) -> Self {
        Self {
            agent,
            clock,
            keys: SeriesKeys::default(),
            renew_at: renewal_after(now, agent.key),
            renewing: None,
            denied: PerTable::default(),
            history: SampleHistory::default(),
        }
    }

    /// Removes samples that may not be stored because of their names, and returns the series whose keys the database
    /// has to resolve first.
    pub(super) fn unknown_series(
        &mut self,
        samples: &mut [Sample],
        now: TimestampMs,
        refused: &mut Vec<Refused>,
    ) -> ReportedSeries {
        if self.renew_at <= now {
            self.renew_at = renewal_after(now, self.agent.key);
            self.renewing = Some(std::mem::take(&mut self.keys));
        }
        for sample in &mut *samples {
            keep_valid_series(sample, refused);
        }
        let mut unknown = unknown_series(samples, &self.keys);
        for ((field, _, asked), (_, _, denied)) in unknown.iter_mut().zip(self.denied.iter_mut()) {
            refuse_names(field, denied.remove_denied(asked, now), refused);
        }
        unknown
    }

    /// Learns the database's answer about the series that were `asked` for.
    pub(super) fn learn(
        &mut self,
        asked: &ReportedSeries,
        resolution: Resolution,
        now: TimestampMs,
        refused: &mut Vec<Refused>,
    ) {
        let renewed = self.renewing.take();
        match (resolution, renewed) {
            (Resolution::Keys(mut keys), _) => {
                for ((_, _, known), (_, _, keys)) in self.keys.iter_mut().zip(keys.iter_mut()) {
                    known.extend(keys.drain());
                }
            }
            (Resolution::Refused, Some(keys)) => {
                self.keys = keys;
                self.renew_at = now + DENIED_MS;
            }
            (Resolution::Refused, None) => {}
        }
        let tables = asked.iter().zip(self.keys.iter()).zip(self.denied.iter_mut());
        for (((field, _, asked), (_, _, keys)), (_, _, denied)) in tables {
            let names = asked.iter().map(SeriesLabels::name).filter(|name| !keys.contains_key(*name));
            refuse_names(field, denied.add(names, now + DENIED_MS), refused);
        }
    }

    /// Returns the rows of these samples. Adds to `refused` what may not be stored.
    pub(super) fn rows(
        &mut self,
        samples: &[Sample],
        window: TimeWindow,
        refused: &mut Vec<Refused>,
    ) -> Rows {
        let mut rows = Rows::default();
        for sample in samples {
            append_rows(&mut rows, refused, sample, window, self.agent.key, &self.keys, &mut self.history);
        }
        rows
    }
}

/// When the keys of an agent's series have to be resolved again: while they are still valid, and spread out so that
/// agents that connected together are not renewed together.
fn renewal_after(now: TimestampMs, agent: AgentKey) -> TimestampMs {
    let spread_ms = i64::from(agent.0).wrapping_mul(7_919_000).rem_euclid(SERIES_RENEWAL_MS / 2);
    now + SERIES_RENEWAL_MS / 2 + spread_ms
}

fn refuse_names(field: &str, count: usize, refused: &mut Vec<Refused>) {
    if 0 < count {
        refused.push(Refused::new(
            ErrorCode::TooMany,
            format!(
                "{field}: {count} new ones are not stored; an agent may have {SERIES_PER_AGENT_MAX} of which there are samples"
            ),
        ));
    }
}

/// Names the database has refused, and until when it is not asked again.
#[derive(Debug, Default)]
struct DeniedNames {
    until: HashMap<String, TimestampMs>,
}

impl DeniedNames {
    /// Removes refused names from what is to be asked for, and returns how many there were. An agent that keeps
    /// inventing names is not asked about until some time has passed.
    fn remove_denied(&mut self, asked: &mut Vec<SeriesLabels>, now: TimestampMs) -> usize {
        if self.until.is_empty() || asked.is_empty() {
            return 0;
        }
        self.until.retain(|_, until| now < *until);
        let is_full = SERIES_PER_AGENT_MAX <= self.until.len();
        let count = asked.len();
        asked.retain(|series| !is_full && !self.until.contains_key(series.name()));
        count - asked.len()
    }

    fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, until: TimestampMs) -> usize {
        let mut count = 0;
        for name in names {
            count += 1;
            if self.until.len() < SERIES_PER_AGENT_MAX {
                self.until.insert(name.to_owned(), until);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use pika_protocol::{DiskMetrics, NetworkMetrics};

    use super::*;
    use crate::domain::id::AgentId;

    fn session() -> AgentSession {
        let agent = ConnectedAgent { key: AgentKey(1), id: AgentId::random() };
        AgentSession::new(agent, ClockOffset::measured(0, None), 0)
    }

    fn sample(names: &[&str]) -> Sample {
        let disk = |name: &&str| DiskMetrics { mount_point: (*name).to_owned(), ..DiskMetrics::default() };
        let network =
            |name: &&str| NetworkMetrics { interface: (*name).to_owned(), ..NetworkMetrics::default() };
        Sample {
            disks: names.iter().map(disk).collect(),
            networks: names.iter().map(network).collect(),
            ..Sample::default()
        }
    }

    fn asked(session: &mut AgentSession, names: &[&str], now: TimestampMs) -> (ReportedSeries, Vec<Refused>) {
        let mut refused = Vec::new();
        let mut samples = [sample(names), sample(names)];
        (session.unknown_series(&mut samples, now, &mut refused), refused)
    }

    fn names(series: &[SeriesLabels]) -> Vec<&str> {
        series.iter().map(SeriesLabels::name).collect()
    }

    #[test]
    fn refused_names_are_reported_and_not_asked_for_again_for_a_while() {
        let mut session = session();
        let (unknown, refused) = asked(&mut session, &["a", "b"], 0);
        assert_eq!((unknown.disks.len(), unknown.networks.len(), refused.len()), (2, 2, 0));
        let keys = SeriesKeys {
            disks: HashMap::from([("a".to_owned(), 1)]),
            networks: HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
            ..SeriesKeys::default()
        };
        let mut refused = Vec::new();
        session.learn(&unknown, Resolution::Keys(Box::new(keys)), 0, &mut refused);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].code, ErrorCode::TooMany);

        let (unknown, refused) = asked(&mut session, &["a", "b", "c"], DENIED_MS - 1);
        assert_eq!((names(&unknown.disks), names(&unknown.networks)), (vec!["c"], vec!["c"]));
        assert_eq!(refused.len(), 1);
        let (unknown, refused) = asked(&mut session, &["b"], DENIED_MS);
        assert_eq!((unknown.disks.len(), refused.len()), (1, 0), "room may have been made");
    }

    #[test]
    fn names_that_the_database_rejects_are_refused() {
        let mut session = session();
        let (unknown, _) = asked(&mut session, &["a"], 0);
        let mut refused = Vec::new();
        session.learn(&unknown, Resolution::Refused, 0, &mut refused);
        assert_eq!(refused.len(), 2, "the disk and the interface");
        assert!(asked(&mut session, &["a"], 1).0.is_empty());
    }

    #[test]
    fn an_agent_that_invents_names_is_not_asked_for_more() {
        let mut session = session();
        let names: Vec<String> = (0..SERIES_PER_AGENT_MAX).map(|n| n.to_string()).collect();
        for names in names.chunks(100) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (unknown, _) = asked(&mut session, &names, 0);
            session.learn(&unknown, Resolution::Refused, 0, &mut Vec::new());
        }
        let (unknown, refused) = asked(&mut session, &["new"], 1);
        assert!(unknown.is_empty());
        assert_eq!(refused.len(), 2);
    }

    fn keys(names: &[&str], key: i32) -> SeriesKeys {
        let keys: HashMap<_, _> = names.iter().map(|name| ((*name).to_owned(), key)).collect();
        SeriesKeys { disks: keys.clone(), networks: keys, ..SeriesKeys::default() }
    }

    fn row_keys(session: &mut AgentSession, names: &[&str], now: TimestampMs) -> Vec<i32> {
        let window = TimeWindow { now, late_limit_ms: 0, clock_offset_ms: 0, spacing_ms_min: 0 };
        let sample = Sample { timestamp: now, ..sample(names) };
        let rows = session.rows(&[sample], window, &mut Vec::new());
        rows.disks.iter().map(|row| row.series_key).collect()
    }

    #[test]
    fn keys_are_asked_for_again_while_they_are_good() {
        let mut session = session();
        let (unknown, _) = asked(&mut session, &["a", "b"], 0);
        session.learn(&unknown, Resolution::Keys(Box::new(keys(&["a", "b"], 1))), 0, &mut Vec::new());
        assert!(asked(&mut session, &["a"], SERIES_RENEWAL_MS / 2 - 1).0.is_empty());
        let (unknown, _) = asked(&mut session, &["a"], SERIES_RENEWAL_MS);
        assert_eq!(names(&unknown.networks), ["a"]);
        session.learn(
            &unknown,
            Resolution::Keys(Box::new(keys(&["a"], 2))),
            SERIES_RENEWAL_MS,
            &mut Vec::new(),
        );
        assert_eq!(row_keys(&mut session, &["a"], SERIES_RENEWAL_MS), [2]);
        let (unknown, _) = asked(&mut session, &["b"], SERIES_RENEWAL_MS);
        assert_eq!(names(&unknown.networks), ["b"], "it may be forgotten by now");
    }

    #[test]
    fn keys_that_cannot_be_renewed_stay_valid_for_a_while() {
        let mut session = session();
        let (unknown, _) = asked(&mut session, &["a"], 0);
        session.learn(&unknown, Resolution::Keys(Box::new(keys(&["a"], 1))), 0, &mut Vec::new());
        let (unknown, _) = asked(&mut session, &["a"], SERIES_RENEWAL_MS);
        let mut refused = Vec::new();
        session.learn(&unknown, Resolution::Refused, SERIES_RENEWAL_MS, &mut refused);
        assert_eq!(refused, []);
        assert_eq!(row_keys(&mut session, &["a"], SERIES_RENEWAL_MS), [1]);
        assert!(!asked(&mut session, &["a"], SERIES_RENEWAL_MS + DENIED_MS).0.is_empty());
    }
}
