//! One evaluation of all alert rules: a transaction that holds the evaluator's lock, in which everything is read and
//! written. A server that dies midway has changed nothing, and another one takes over.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::connection::Connection;
use super::{Error, Store, alert_readings, alert_rules, alert_settings, alert_silences, lock};
use crate::domain::TimestampMs;
use crate::domain::alert::outage::Outage;
use crate::domain::alert::reading::{Readings, WatchedAgent, WatchedSeries, WindowQuery};
use crate::domain::alert::rule::Rule;
use crate::domain::alert::settings::AlertSettings;
use crate::domain::alert::silence::Silence;
use crate::domain::alert::step::{Level, State};
use crate::domain::alert::trend::History;
use crate::domain::alert::verdict::Reason;
use crate::domain::family::Family;

/// Maximum time of a single statement.
const LIMIT: &str = "SET LOCAL statement_timeout = 30000";
const CLOCK: &str = "SELECT evaluated_at, observed_from, fleet::text, pika_now_ms() FROM alert_clock";
const SET_CLOCK: &str =
    "UPDATE alert_clock SET evaluated_at = $1, observed_from = $2, evaluator = $3, fleet = $4::text::jsonb";
const GROUPS: &str = "SELECT key, due_at, evaluated_at FROM alert_groups";
const SET_GROUP: &str = "INSERT INTO alert_groups (key, due_at, evaluated_at) VALUES ($1, $2, $3) \
     ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at, evaluated_at = excluded.evaluated_at";
const AGENTS: &str = "SELECT key, id, coalesce(custom_name, name), tags, status = 1, coalesce(last_seen_at, created_at), \
         clock_offset_ms, identity_conflict_at, secret_hash IS NULL, ts \
     FROM agents LEFT JOIN agent_latest ON agent_key = key";
const GAPS: &str = "SELECT agent_key, sum(samples)::int8 FROM sample_gaps \
     WHERE $1 < reported_at AND reported_at <= $2 GROUP BY 1";
const RESTARTS: &str = "SELECT agent_key, at FROM agent_presence AS back \
     WHERE $1 < at AND at <= $2 AND online AND (SELECT online FROM agent_presence AS before \
         WHERE before.agent_key = back.agent_key AND before.at < back.at ORDER BY at DESC LIMIT 1) IS FALSE";
const STATES: &str = "SELECT rule_id, agent_key, series_key, target, version, held_ms, clear_ms, firing, unknown_ms, \
         last_verdict = 2, recent, flapping, value, reason, alert_id, started_at, changed_at FROM alert_states";
const SAVE_STATES: &str = "INSERT INTO alert_states (rule_id, agent_key, series_key, target, version, state, severity, \
         held_ms, clear_ms, firing, unknown_ms, last_verdict, recent, flapping, value, reason, alert_id, started_at, \
         changed_at) \
     SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS new (rule_id uuid, agent_key int4, series_key int4, \
         target text, version int4, state int2, severity int2, held_ms int8[], clear_ms int8[], firing bool[], \
         unknown_ms int8, last_verdict int2, recent int8[], flapping bool, value float8, reason text, alert_id uuid, \
         started_at int8, changed_at int8) \
     WHERE agent_key IS NULL OR EXISTS (SELECT FROM agents WHERE key = agent_key) \
     ON CONFLICT (rule_id, agent_key, series_key, target) DO UPDATE SET version = excluded.version, \
         state = excluded.state, severity = excluded.severity, held_ms = excluded.held_ms, \
         clear_ms = excluded.clear_ms, firing = excluded.firing, unknown_ms = excluded.unknown_ms, \
         last_verdict = excluded.last_verdict, recent = excluded.recent, flapping = excluded.flapping, \
         value = excluded.value, reason = excluded.reason, alert_id = excluded.alert_id, \
         started_at = excluded.started_at, changed_at = excluded.changed_at";
const FORGET_STATES: &str = "DELETE FROM alert_states USING jsonb_to_recordset($1::text::jsonb) \
         AS old (rule_id uuid, agent_key int4, series_key int4, target text) \
     WHERE alert_states.rule_id = old.rule_id AND alert_states.agent_key IS NOT DISTINCT FROM old.agent_key \
         AND alert_states.series_key = old.series_key AND alert_states.target = old.target";
const INSERT_ALERTS: &str = "INSERT INTO alerts (id, rule_id, rule_name, rule_version, agent_key, agent_id, agent_name, \
         series_name, target, severity, peak_severity, state, started_at, fired_at, value, peak_value, peak_at, \
         threshold, recovery_threshold, unit, details, flapping, changed_at) \
     SELECT id, rule_id, rule_name, rule_version, agent_key, agent_id, agent_name, series_name, target, severity, \
         severity, 'firing', started_at, fired_at, value, value, CASE WHEN value IS NOT NULL THEN fired_at END, \
         threshold, recovery_threshold, unit, details, flapping, fired_at \
     FROM jsonb_to_recordset($1::text::jsonb) AS new (id uuid, rule_id uuid, rule_name text, rule_version int4, \
         agent_key int4, agent_id uuid, agent_name text, series_name text, target text, severity int2, started_at int8, \
         fired_at int8, value float8, threshold float8, recovery_threshold float8, unit text, details jsonb, \
         flapping bool) \
     WHERE agent_key IS NULL OR EXISTS (SELECT FROM agents WHERE key = agent_key)";
// A peak is the value furthest beyond the threshold. Ended alerts keep their thresholds.
const UPDATE_ALERTS: &str = "UPDATE alerts SET state = new.state, severity = new.severity, \
         peak_severity = greatest(peak_severity, new.severity), ended_at = new.ended_at, end_reason = new.end_reason, \
         value = coalesce(new.value, alerts.value), \
         peak_value = CASE WHEN new.is_below THEN least(peak_value, new.value) \
             ELSE greatest(peak_value, new.value) END, \
         peak_at = CASE WHEN new.value IS NOT NULL AND (peak_value IS NULL \
             OR (new.is_below AND new.value < peak_value) OR (NOT new.is_below AND peak_value < new.value)) \
             THEN $2 ELSE peak_at END, \
         threshold = CASE WHEN new.state = 'firing' THEN new.threshold ELSE alerts.threshold END, \
         recovery_threshold = CASE WHEN new.state = 'firing' THEN new.recovery_threshold \
             ELSE alerts.recovery_threshold END, \
         details = CASE WHEN new.state = 'firing' THEN new.details ELSE alerts.details END, \
         data_state = new.data_state, flapping = new.flapping, occurrences = occurrences + new.reopened, \
         snoozed_until = CASE WHEN new.state = 'firing' THEN snoozed_until END, \
         acknowledged_at = CASE WHEN new.is_worse THEN NULL ELSE acknowledged_at END, \
         acknowledged_by = CASE WHEN new.is_worse THEN NULL ELSE acknowledged_by END, \
         withheld_by = CASE WHEN new.state = 'firing' THEN withheld_by END, \
         inhibited_by = CASE WHEN new.state = 'firing' THEN inhibited_by END, \
         version = version + 1, changed_at = $2 \
     FROM jsonb_to_recordset($1::text::jsonb) AS new (id uuid, state text, severity int2, ended_at int8, \
         end_reason text, value float8, threshold float8, recovery_threshold float8, details jsonb, data_state text, \
         flapping bool, reopened int4, is_worse bool, is_below bool) \
     WHERE alerts.id = new.id";
const ADD_EVENTS: &str = "INSERT INTO alert_events (alert_id, at, kind, value, details) \
     SELECT alert_id, $2, kind, value, details FROM jsonb_to_recordset($1::text::jsonb) AS new (alert_id uuid, \
         kind text, value float8, details jsonb) \
     WHERE alert_id IS NULL OR EXISTS (SELECT FROM alerts WHERE id = alert_id)";

pub(super) const STATEMENTS: &[&str] = &[
    CLOCK,
    SET_CLOCK,
    GROUPS,
    SET_GROUP,
    AGENTS,
    GAPS,
    RESTARTS,
    STATES,
    SAVE_STATES,
    FORGET_STATES,
    INSERT_ALERTS,
    UPDATE_ALERTS,
    ADD_EVENTS,
];

/// A connection for evaluating rules.
#[derive(Debug)]
pub struct AlertConnection(Connection);

/// The key of a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TargetKey {
    /// The rule's id.
    pub rule_id: Uuid,
    /// The agent's key, if it is about one.
    pub agent_key: Option<i32>,
    /// The key of the agent's disk or interface; 0 for the agent itself.
    pub series_key: i32,
    /// `fleet` or `tag:…`, if it is not about an agent.
    pub target: String,
}

/// A stored state.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredState {
    /// The key.
    pub key: TargetKey,
    /// The version of the rule that last changed what is judged.
    pub version: i32,
    /// The state of the target.
    pub state: State,
    /// Its last alert.
    pub alert_id: Option<Uuid>,
}

/// The progress of evaluations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertClock {
    /// The time evaluated up to; `None` if never.
    pub evaluated_at: Option<TimestampMs>,
    /// Since when the fleet has been watched.
    pub observed_from: Option<TimestampMs>,
    /// Ongoing outages of the fleet (`fleet`) and of tags (`tag:…`).
    pub outages: BTreeMap<String, Outage>,
    /// The database's clock.
    pub database_now: TimestampMs,
}

/// When a group of rules was evaluated, and will be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupClock {
    /// When it is due.
    pub due_at: TimestampMs,
    /// When it was last evaluated.
    pub evaluated_at: TimestampMs,
}

/// A new alert.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "described by the columns of alerts")]
pub struct NewAlert {
    pub id: Uuid,
    pub rule_id: Uuid,
    pub rule_name: String,
    pub rule_version: i32,
    pub agent_key: Option<i32>,
    pub agent_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub series_name: Option<String>,
    pub target: String,
    pub severity: i16,
    pub started_at: TimestampMs,
    pub fired_at: TimestampMs,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub recovery_threshold: Option<f64>,
    pub unit: &'static str,
    pub details: serde_json::Value,
    pub flapping: bool,
}

/// An update of an alert.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "described by the columns of alerts")]
pub struct AlertUpdate {
    pub id: Uuid,
    pub state: &'static str,
    pub severity: i16,
    pub ended_at: Option<TimestampMs>,
    pub end_reason: Option<&'static str>,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub recovery_threshold: Option<f64>,
    pub details: serde_json::Value,
    pub data_state: &'static str,
    pub flapping: bool,
    /// 1 if it is reopened.
    pub reopened: i32,
    /// Whether it is worse than what was acknowledged.
    pub is_worse: bool,
    /// Whether lower values are worse.
    pub is_below: bool,
}

/// An event of an alert, or of Pika itself.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "described by the columns of alert_events")]
pub struct NewAlertEvent {
    pub alert_id: Option<Uuid>,
    pub kind: &'static str,
    pub value: Option<f64>,
    pub details: serde_json::Value,
}

#[derive(Serialize)]
struct StateRow<'a> {
    #[serde(flatten)]
    key: &'a TargetKey,
    version: i32,
    state: i16,
    severity: i16,
    held_ms: [i64; 3],
    clear_ms: [i64; 3],
    firing: [bool; 3],
    unknown_ms: i64,
    last_verdict: i16,
    recent: &'a [i64],
    flapping: bool,
    value: Option<f64>,
    reason: Option<&'static str>,
    alert_id: Option<Uuid>,
    started_at: i64,
    changed_at: i64,
}

impl StoredState {
    fn row(&self) -> StateRow<'_> {
        let State {
            levels,
            unknown_ms,
            was_unknown,
            recent,
            flapping,
            value,
            reason,
            started_at,
            changed_at,
        } = &self.state;
        StateRow {
            key: &self.key,
            version: self.version,
            state: self.state.phase().number(),
            severity: self.state.severity().map_or(0, |severity| severity.number()),
            held_ms: levels.map(|level| level.held_ms),
            clear_ms: levels.map(|level| level.clear_ms),
            firing: levels.map(|level| level.fires),
            unknown_ms: *unknown_ms,
            last_verdict: if *was_unknown { 2 } else { 1 },
            recent,
            flapping: *flapping,
            value: *value,
            reason: reason.map(Reason::as_str),
            alert_id: self.alert_id,
            started_at: *started_at,
            changed_at: *changed_at,
        }
    }
}

impl Store {
    /// Opens a separate connection for evaluations, which need not wait for others.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_connection(&self) -> Result<AlertConnection, Error> {
        Ok(AlertConnection(self.dedicated_connection().await?))
    }
}

impl AlertConnection {
    /// Begins an evaluation; `None` while another server is evaluating.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn begin(&mut self) -> Result<Option<Evaluation<'_>>, Error> {
        let evaluation = self.look().await?;
        Ok(lock::ALERTING.try_hold_in(&evaluation.0).await?.then_some(evaluation))
    }

    /// Begins reading without the lock, for dry runs.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn look(&mut self) -> Result<Evaluation<'_>, Error> {
        let transaction = self.0.transaction().await?;
        transaction.batch_execute(LIMIT).await?;
        Ok(Evaluation(transaction))
    }
}

/// An evaluation in progress, which is atomic.
pub struct Evaluation<'a>(pub(super) Transaction<'a>);

impl std::fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evaluation")
    }
}

/// Serializes rows as a parameter.
fn json(rows: &impl Serialize) -> String {
    // Values that JSON does not have, such as infinity, become null.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}

impl Evaluation<'_> {
    /// Returns the progress of evaluations.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn clock(&self) -> Result<AlertClock, Error> {
        let row = self.0.query_one(CLOCK, &[]).await?;
        Ok(AlertClock {
            evaluated_at: row.get(0),
            observed_from: row.get(1),
            outages: serde_json::from_str(row.get(2)).unwrap_or_default(),
            database_now: row.get(3),
        })
    }

    /// Saves the progress of evaluations. `evaluator` identifies the run of the server.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_clock(&self, clock: &AlertClock, evaluator: Uuid) -> Result<(), Error> {
        let outages = json(&clock.outages);
        let AlertClock { evaluated_at, observed_from, .. } = clock;
        self.0.execute(SET_CLOCK, &[evaluated_at, observed_from, &evaluator, &outages]).await?;
        Ok(())
    }

    /// Returns when the groups of rules were evaluated.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn groups(&self) -> Result<HashMap<String, GroupClock>, Error> {
        let rows = self.0.query(GROUPS, &[]).await?;
        let group = |row: &Row| (row.get(0), GroupClock { due_at: row.get(1), evaluated_at: row.get(2) });
        Ok(rows.iter().map(group).collect())
    }

    /// Saves when a group of rules was evaluated.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_group(&self, key: &str, clock: GroupClock) -> Result<(), Error> {
        self.0.execute(SET_GROUP, &[&key, &clock.due_at, &clock.evaluated_at]).await?;
        Ok(())
    }

    /// Returns all rules.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn rules(&self) -> Result<Vec<Rule>, Error> {
        Ok(alert_rules::list(&self.0).await?)
    }

    /// Returns the settings for all rules.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn settings(&self) -> Result<AlertSettings, Error> {
        Ok(alert_settings::get(&self.0).await?)
    }

    /// Returns the silences that have not ended.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn silences(&self, now: TimestampMs) -> Result<Vec<Silence>, Error> {
        Ok(alert_silences::current(&self.0, now).await?)
    }

    /// Returns all agents.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn agents(&self) -> Result<Vec<WatchedAgent>, Error> {
        let rows = self.0.query(AGENTS, &[]).await?;
        let agent = |row: &Row| WatchedAgent {
            key: row.get(0),
            id: row.get(1),
            name: row.get(2),
            tags: row.get(3),
            online: row.get(4),
            last_seen_at: row.get(5),
            clock_offset_ms: row.get(6),
            identity_conflict_at: row.get(7),
            is_revoked: row.get(8),
            newest_at: row.get(9),
        };
        Ok(rows.iter().map(agent).collect())
    }

    /// Returns the mount points or interfaces of all agents; none for families with one series per agent.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn series(&self, family: Family) -> Result<Vec<WatchedSeries>, Error> {
        let Some(statement) = alert_readings::series_statement(family) else {
            return Ok(Vec::new());
        };
        let rows = self.0.query(&statement, &[]).await?;
        let series = |row: &Row| WatchedSeries {
            key: row.get(0),
            agent: row.get(1),
            name: row.get(2),
            fs_type: row.get(3),
        };
        Ok(rows.iter().map(series).collect())
    }

    /// Returns how many samples agents have reported as dropped after `since`, until `end`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn gaps(&self, since: TimestampMs, end: TimestampMs) -> Result<HashMap<i32, i64>, Error> {
        let rows = self.0.query(GAPS, &[&since, &end]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Returns when agents have come back after being offline, after `since` and until `end`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn restarts(
        &self,
        since: TimestampMs,
        end: TimestampMs,
    ) -> Result<HashMap<i32, Vec<TimestampMs>>, Error> {
        let mut restarts: HashMap<i32, Vec<TimestampMs>> = HashMap::new();
        for row in self.0.query(RESTARTS, &[&since, &end]).await? {
            restarts.entry(row.get(0)).or_default().push(row.get(1));
        }
        Ok(restarts)
    }

    /// Reads the samples of a window that ends at `end`. A failure, such as a time limit, leaves the evaluation as it was.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub async fn read(&mut self, query: &WindowQuery, end: TimestampMs) -> Result<Readings, Error> {
        let savepoint = self.0.transaction().await?;
        let readings = alert_readings::read(&savepoint, query, end).await?;
        savepoint.commit().await?;
        Ok(readings)
    }

    /// Returns the free space of all disks from `start` on, hour by hour, by the keys of the disks. A failure leaves the
    /// evaluation unchanged.
    ///
    /// # Errors
    /// If it takes too long; if the database is unavailable.
    pub async fn disk_histories(&mut self, start: TimestampMs) -> Result<HashMap<i32, History>, Error> {
        let savepoint = self.0.transaction().await?;
        let histories = alert_readings::disk_histories(&savepoint, start).await?;
        savepoint.commit().await?;
        Ok(histories)
    }

    /// Returns all states.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn states(&self) -> Result<Vec<StoredState>, Error> {
        Ok(self.0.query(STATES, &[]).await?.iter().map(stored_state).collect())
    }

    /// Saves some states, and deletes others.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn save_states(&self, kept: &[StoredState], forgotten: &[TargetKey]) -> Result<(), Error> {
        if !forgotten.is_empty() {
            self.0.execute(FORGET_STATES, &[&json(&forgotten)]).await?;
        }
        if !kept.is_empty() {
            let rows: Vec<StateRow<'_>> = kept.iter().map(StoredState::row).collect();
            self.0.execute(SAVE_STATES, &[&json(&rows)]).await?;
        }
        Ok(())
    }

    /// Saves new alerts, updates and events.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn save_alerts(
        &self,
        new: &[NewAlert],
        updates: &[AlertUpdate],
        events: &[NewAlertEvent],
        now: TimestampMs,
    ) -> Result<(), Error> {
        if !new.is_empty() {
            self.0.execute(INSERT_ALERTS, &[&json(&new)]).await?;
        }
        if !updates.is_empty() {
            self.0.execute(UPDATE_ALERTS, &[&json(&updates), &now]).await?;
        }
        if !events.is_empty() {
            self.0.execute(ADD_EVENTS, &[&json(&events), &now]).await?;
        }
        Ok(())
    }

    /// Commits the evaluation.
    ///
    /// # Errors
    /// If the database is unavailable; nothing has changed then.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(self.0.commit().await?)
    }
}

fn stored_state(row: &Row) -> StoredState {
    let (held, clear, firing): (Vec<i64>, Vec<i64>, Vec<bool>) = (row.get(5), row.get(6), row.get(7));
    let mut levels = [Level::default(); 3];
    for (level, ((held_ms, clear_ms), fires)) in
        levels.iter_mut().zip(held.into_iter().zip(clear).zip(firing))
    {
        *level = Level { held_ms, clear_ms, fires };
    }
    StoredState {
        key: TargetKey {
            rule_id: row.get(0),
            agent_key: row.get(1),
            series_key: row.get(2),
            target: row.get(3),
        },
        version: row.get(4),
        state: State {
            levels,
            unknown_ms: row.get(8),
            was_unknown: row.get(9),
            recent: row.get(10),
            flapping: row.get(11),
            value: row.get(12),
            reason: row.get::<_, Option<&str>>(13).and_then(Reason::parse),
            started_at: row.get(15),
            changed_at: row.get(16),
        },
        alert_id: row.get(14),
    }
}
