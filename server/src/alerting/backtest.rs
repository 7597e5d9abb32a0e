//! Finds what a rule would have fired: plans what to read of the past, reads it in slices of agents, and replays it.

mod reader;
mod request;
mod resolution;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::chain;
use tokio::time::Instant;

use self::reader::{Reader, Subjects};
pub use self::request::BacktestRequest;
use self::resolution::Resolution;
use super::evaluator::{EvaluatorOptions, LAG_MS};
use super::judge::history_ms;
use super::replay::{Replay, Replayed, ReplayedAlert, longer_for_ms};
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Condition;
use crate::domain::alert::past::AgentPast;
use crate::domain::alert::rule::Rule;
use crate::domain::retention::Retention;
use crate::domain::tier::{DAY_MS, Tier};
use crate::store::{AlertConnection, Error, Store};

/// Maximum span of a back-test, in milliseconds.
pub const SPAN_MS_MAX: i64 = 400 * DAY_MS;
/// Maximum alerts returned, the newest.
pub const ALERTS_MAX: usize = 1_000;
/// After this time no further agents are read.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Why a result may differ from what would have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BacktestLimit {
    /// A condition examines what is not stored for the past. Nothing was evaluated.
    NotReplayable,
    /// Samples are read as buckets of a minute.
    MinuteBuckets,
    /// Samples are read as buckets of an hour, and windows are widened to hours.
    HourBuckets,
    /// The span begins before what is still stored.
    NotKept,
    /// It is not known for the whole span whether agents were online.
    PresenceUnknown,
    /// Not all agents could be evaluated within the time limit.
    OutOfTime,
}

impl BacktestLimit {
    /// Returns its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            BacktestLimit::NotReplayable => "notReplayable",
            BacktestLimit::MinuteBuckets => "minuteBuckets",
            BacktestLimit::HourBuckets => "hourBuckets",
            BacktestLimit::NotKept => "notKept",
            BacktestLimit::PresenceUnknown => "presenceUnknown",
            BacktestLimit::OutOfTime => "outOfTime",
        }
    }
}

/// What a rule would have fired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backtest {
    /// The span that was evaluated, in whole buckets.
    pub start: TimestampMs,
    /// The first millisecond after it.
    pub end: TimestampMs,
    /// The time between two evaluations, in milliseconds.
    pub step_ms: i64,
    /// The coarsest tier that was read; `None` if no samples are needed.
    pub tier: Option<Tier>,
    /// Number of agents in scope.
    pub agents: usize,
    /// Number of agents that were evaluated.
    pub agents_done: usize,
    /// The alerts, the newest first; at most [`ALERTS_MAX`].
    pub alerts: Vec<ReplayedAlert>,
    /// Number of alerts.
    pub total: usize,
    /// For how long alerts fired, all together, in milliseconds.
    pub firing_ms: i64,
    /// For how long the rule would have to hold instead, in milliseconds, and the number of alerts then.
    pub with_longer: Vec<(i64, usize)>,
    /// Why it may have been otherwise.
    pub limits: BTreeSet<BacktestLimit>,
}

/// Finds what a rule would have fired. Takes little more than a minute at most.
///
/// # Errors
/// If the database is unavailable.
pub async fn backtest(
    store: &Store,
    options: EvaluatorOptions,
    request: BacktestRequest,
    now: TimestampMs,
) -> Result<Backtest, Error> {
    let BacktestRequest { rule, start, end, .. } = &request;
    let (start, end) = (*start, (*end).min(now - LAG_MS));
    if !rule.definition.conditions.iter().all(Condition::is_replayable) {
        let limits = BTreeSet::from([BacktestLimit::NotReplayable]);
        return Ok(Backtest { start, end, limits, ..Backtest::default() });
    }
    let retention = store.retention().await?;
    let mut connection = store.alert_connection().await?;
    let subjects = Subjects::read(&mut connection, &request).await?;
    let counts = (subjects.agents.len(), subjects.n_series());
    let resolution = Resolution::finest(rule, (start, end), now, retention, counts);
    let bucket_ms = resolution.bucket_ms;
    let [start, end] = [start, end].map(|at| at.div_euclid(bucket_ms) * bucket_ms);
    let times = (options.tick_ms, options.settle_ms);
    let replay = Replay::new(rule.clone(), (start, end), bucket_ms, subjects.blind_spots.clone(), times);
    let mut result = Backtest {
        start,
        end,
        step_ms: replay.step_ms(),
        tier: resolution.tier,
        agents: subjects.agents.len(),
        with_longer: longer_for_ms(&rule.definition).map(|for_ms| (for_ms, 0)).into(),
        limits: limits(rule, resolution, start, now, retention),
        ..Backtest::default()
    };
    let reader = Reader { rule: request.rule, start, end, resolution };
    replay_all(&mut result, Arc::new(replay), &reader, &mut connection, subjects).await?;
    Ok(result)
}

/// Reads and evaluates slices of agents until all are done, or the time is over.
async fn replay_all(
    result: &mut Backtest,
    replay: Arc<Replay>,
    reader: &Reader,
    connection: &mut AlertConnection,
    mut subjects: Subjects,
) -> Result<(), Error> {
    let deadline = Instant::now() + TIME_MAX;
    for agents in subjects.agents.chunks(reader.resolution.agents_per_slice()) {
        if deadline <= Instant::now() {
            break;
        }
        let pasts = match reader.read(connection, agents).await {
            Ok(pasts) => pasts,
            Err(error @ Error::TimedOut(_)) => {
                tracing::info!(error = %chain(&error), "a back-test could not read all agents in time");
                break;
            }
            Err(error) => return Err(error),
        };
        result.note_presence(&pasts, &reader.rule);
        let series = agents.iter().map(|agent| subjects.series.remove(&agent.key).unwrap_or_default());
        let inputs: Vec<_> = agents.iter().cloned().zip(series).zip(pasts).collect();
        let replay = Arc::clone(&replay);
        let replaying = move || {
            let in_time = inputs.into_iter().take_while(|_| Instant::now() < deadline);
            in_time.map(|((agent, series), past)| replay.run(&agent, series, &past)).collect::<Vec<_>>()
        };
        // Fails only if the server stops.
        let Ok(replayed) = tokio::task::spawn_blocking(replaying).await else {
            break;
        };
        result.agents_done += replayed.len();
        replayed.into_iter().for_each(|replayed| result.add(replayed));
    }
    if result.agents_done < result.agents {
        result.limits.insert(BacktestLimit::OutOfTime);
    }
    result.keep_newest();
    Ok(())
}

/// Returns what makes a result inexact from the start.
fn limits(
    rule: &Rule,
    resolution: Resolution,
    start: TimestampMs,
    now: TimestampMs,
    retention: Retention,
) -> BTreeSet<BacktestLimit> {
    let mut limits = BTreeSet::new();
    limits.extend(match resolution.tier {
        Some(Tier::OneMinute) => Some(BacktestLimit::MinuteBuckets),
        Some(Tier::OneHour) => Some(BacktestLimit::HourBuckets),
        _ => None,
    });
    let of_trend =
        history_ms(std::iter::once(&rule.definition)).map(|history_ms| (Tier::OneHour, start - history_ms));
    let read = resolution.tier.map(|tier| (tier, start)).into_iter().chain(of_trend);
    let is_gone = |(tier, start): (Tier, TimestampMs)| {
        retention.keep_ms(tier).is_some_and(|keep_ms| start < now - keep_ms)
    };
    if read.into_iter().any(is_gone) {
        limits.insert(BacktestLimit::NotKept);
    }
    limits
}

impl Backtest {
    fn add(&mut self, replayed: Replayed) {
        self.total += replayed.alerts.len();
        for ((_, total), n) in self.with_longer.iter_mut().zip(replayed.with_longer) {
            *total += n;
        }
        let end = self.end;
        let duration = |alert: &ReplayedAlert| alert.ended_at.unwrap_or(end) - alert.fired_at;
        self.firing_ms += replayed.alerts.iter().map(duration).sum::<i64>();
        self.alerts.extend(replayed.alerts);
        if 2 * ALERTS_MAX < self.alerts.len() {
            self.keep_newest();
        }
    }

    fn keep_newest(&mut self) {
        self.alerts.sort_by_key(|alert| std::cmp::Reverse(alert.fired_at));
        self.alerts.truncate(ALERTS_MAX);
    }

    /// Notes whether it is unknown for some time whether agents were online, where that matters.
    fn note_presence(&mut self, pasts: &[AgentPast], rule: &Rule) {
        let start = self.start;
        let matters = |condition: &Condition| {
            matches!(
                condition,
                Condition::Offline { .. } | Condition::NoData { .. } | Condition::Restarted { .. }
            )
        };
        let is_unknown = |past: &AgentPast| {
            past.presence.first().is_none_or(|first| start < first.at)
                || past.presence.iter().any(|change| change.online.is_none())
        };
        if rule.definition.conditions.iter().any(matters) && pasts.iter().any(is_unknown) {
            self.limits.insert(BacktestLimit::PresenceUnknown);
        }
    }
}
