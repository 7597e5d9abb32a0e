//! Alerts as users see them: firing and ended ones, and users' actions. That they fire and end by themselves is the
//! work of `alert_evaluation`.

use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::connection::Parameter;
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::alert::history::{Alert, AlertEvent, AlertSummary, AlertTold, PendingAlert};
use crate::domain::alert::step::EndReason;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};

macro_rules! select_alerts {
    ($rest:expr) => {
        concat!(
            "SELECT id, version, state, severity, peak_severity, rule_id, rule_name, rule_version, agent_id, agent_name, \
             series_name, target, started_at, fired_at, ended_at, end_reason, value, peak_value, peak_at, threshold, \
             recovery_threshold, unit, details::text, data_state, occurrences, flapping, withheld_by, inhibited_by, \
             acknowledged_at, acknowledged_by, note, snoozed_until, changed_at FROM alerts ",
            $rest
        )
    };
}

// Searched texts are joined by line breaks, which none of them contains, so that no match spans two of them.
macro_rules! filter {
    () => {
        "WHERE ($1::text IS NULL OR state = $1) AND ($2::int2[] IS NULL OR severity = ANY ($2)) \
             AND ($3::uuid IS NULL OR rule_id = $3) AND ($4::uuid IS NULL OR agent_id = $4) \
             AND ($5::text IS NULL OR agent_key IN (SELECT key FROM agents WHERE $5 = ANY (tags))) \
             AND ($6::bool IS NULL OR $6 = (withheld_by IS NOT NULL)) \
             AND ($7::bool IS NULL OR $7 = (acknowledged_at IS NOT NULL)) \
             AND ($8::int8 IS NULL OR ended_at IS NULL OR $8 <= ended_at) AND ($9::int8 IS NULL OR fired_at < $9) \
             AND position(lower($10) IN lower(concat_ws(E'\\n', agent_name, rule_name, series_name, target, note))) > 0"
    };
}

const FIND: &str = select_alerts!("WHERE id = $1");
const COUNT: &str = concat!("SELECT count(*) FROM alerts ", filter!());
const LIST_NEWEST: &str =
    select_alerts!(concat!(filter!(), " ORDER BY fired_at DESC, id LIMIT $11 OFFSET $12"));
const LIST_OLDEST: &str = select_alerts!(concat!(filter!(), " ORDER BY fired_at, id LIMIT $11 OFFSET $12"));
const LIST_WORST: &str =
    select_alerts!(concat!(filter!(), " ORDER BY severity DESC, fired_at DESC, id LIMIT $11 OFFSET $12"));
const EVENTS: &str = "SELECT id, alert_id, at, kind, value, actor, details::text FROM alert_events \
     WHERE alert_id = $1 ORDER BY id DESC LIMIT $2";
const TOLD: &str = "SELECT alert_id, alert_told.channel_id, alert_channels.name, told, told_at, alert_outbox.status \
     FROM alert_told JOIN alert_channels ON alert_channels.id = alert_told.channel_id \
     LEFT JOIN alert_outbox ON alert_outbox.id = outbox_id \
     WHERE alert_id = ANY ($1) ORDER BY 1, lower(alert_channels.name)";
const PENDING: &str = "SELECT rule_id, alert_rules.name, agents.id, coalesce(custom_name, agents.name), \
         coalesce(disks.mount_point, network_interfaces.name), target, state, value, reason, \
         (SELECT max(ms) FROM unnest(held_ms) AS held (ms)), (definition->>'forMs')::int8, unknown_ms, started_at \
     FROM alert_states JOIN alert_rules ON alert_rules.id = rule_id AND enabled \
     LEFT JOIN agents ON agents.key = alert_states.agent_key \
     LEFT JOIN disks ON disks.key = series_key AND disks.agent_key = alert_states.agent_key \
         AND (definition->'conditions'->0->>'family' = 'disk' OR definition->'conditions'->0->>'kind' = 'fullWithin') \
     LEFT JOIN network_interfaces ON network_interfaces.key = series_key \
         AND network_interfaces.agent_key = alert_states.agent_key \
         AND definition->'conditions'->0->>'family' = 'network' \
     WHERE state = 1 OR reason IS NOT NULL AND state <> 0 \
     ORDER BY started_at DESC, rule_id LIMIT $1";
const SUMMARY: &str = "SELECT count(*) FILTER (WHERE severity = 1), count(*) FILTER (WHERE severity = 2), \
         count(*) FILTER (WHERE severity = 3), count(*) FILTER (WHERE withheld_by IS NOT NULL), \
         count(*) FILTER (WHERE acknowledged_at IS NOT NULL), \
         min(fired_at) FILTER (WHERE acknowledged_at IS NULL), \
         (SELECT count(*) FROM alert_states WHERE state = 1), \
         (SELECT count(*) FROM alert_channels WHERE enabled), \
         (SELECT count(*) FROM alert_channels WHERE enabled AND state <> 'ok'), \
         (SELECT evaluated_at FROM alert_clock), (SELECT observed_from FROM alert_clock) \
     FROM alerts WHERE ended_at IS NULL";
const ADD_EVENT: &str = "INSERT INTO alert_events (alert_id, at, kind, actor, details) \
     VALUES ($1, $2, $3, $4, $5::text::jsonb)";
const ACKNOWLEDGE: &str = "UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3, note = coalesce($4, note), \
         version = version + 1, changed_at = $2 \
     WHERE id = $1 AND ended_at IS NULL";
const UNACKNOWLEDGE: &str = "UPDATE alerts SET acknowledged_at = NULL, acknowledged_by = NULL, \
         version = version + 1, changed_at = $2 \
     WHERE id = $1 AND ended_at IS NULL";
const SNOOZE: &str = "UPDATE alerts SET snoozed_until = $3, version = version + 1, changed_at = $2 \
     WHERE id = $1 AND ended_at IS NULL";
const NOTE: &str = "UPDATE alerts SET note = $3, version = version + 1, changed_at = $2 WHERE id = $1";
macro_rules! end_alerts {
    ($which:literal) => {
        concat!(
            "WITH ended AS (UPDATE alerts SET state = 'resolved', ended_at = $2, end_reason = $3, snoozed_until = NULL, \
                 withheld_by = NULL, inhibited_by = NULL, version = version + 1, changed_at = $2 \
             WHERE ended_at IS NULL AND ",
            $which,
            " RETURNING id, value) \
             INSERT INTO alert_events (alert_id, at, kind, value, details) \
             SELECT id, $2, 'resolved', value, jsonb_build_object('reason', $3::text) FROM ended"
        )
    };
}
const END_OF_RULE: &str = end_alerts!("rule_id = $1");
const END_OF_AGENT: &str = end_alerts!("agent_id = $1");
const FORGET_STATES: &str = "DELETE FROM alert_states WHERE rule_id = $1";
const DELETE_OLD: &str = "DELETE FROM alerts WHERE id = ANY (ARRAY( \
         SELECT id FROM alerts WHERE ended_at < $1 LIMIT $2))";
const DELETE_OLD_EVENTS: &str = "DELETE FROM alert_events WHERE id = ANY (ARRAY( \
         SELECT id FROM alert_events WHERE alert_id IS NULL AND at < $1 LIMIT $2))";

pub(super) const STATEMENTS: &[&str] = &[
    FIND,
    COUNT,
    LIST_NEWEST,
    LIST_OLDEST,
    LIST_WORST,
    EVENTS,
    TOLD,
    PENDING,
    SUMMARY,
    ADD_EVENT,
    ACKNOWLEDGE,
    UNACKNOWLEDGE,
    SNOOZE,
    NOTE,
    END_OF_RULE,
    END_OF_AGENT,
    FORGET_STATES,
    DELETE_OLD,
    DELETE_OLD_EVENTS,
];

/// Maximum events of an alert that are returned; the newest ones.
const EVENTS_MAX: i64 = 1_000;
/// Maximum pending targets that are returned.
pub const PENDING_MAX: i64 = 1_000;
/// Alerts deleted at a time.
const DELETED_AT_ONCE: i64 = 5_000;

/// Which alerts to return; absent fields match everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertFilter {
    /// `firing` or `resolved`.
    pub state: Option<String>,
    /// The severities.
    pub severities: Option<Vec<i16>>,
    /// The rule's id.
    pub rule_id: Option<Uuid>,
    /// The agent's id.
    pub agent_id: Option<Uuid>,
    /// A tag that the agent has now.
    pub tag: Option<String>,
    /// Whether they are withheld.
    pub withheld: Option<bool>,
    /// Whether they are acknowledged.
    pub acknowledged: Option<bool>,
    /// Those that fired at or after this time, or had not ended before it.
    pub from: Option<TimestampMs>,
    /// Those that fired before this time.
    pub to: Option<TimestampMs>,
    /// Text in a name or the note, in any case; empty matches all.
    pub search: String,
}

/// The sort order of alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertSort {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// The highest severity first, then the newest.
    Worst,
}

/// A user's action on an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertDeed {
    /// Acknowledges it.
    Acknowledge {
        /// The note; the previous one is kept if absent.
        note: Option<String>,
    },
    /// Removes the acknowledgement.
    Unacknowledge,
    /// Snoozes it, or ends the snooze.
    Snooze {
        /// The end of the snooze.
        until: Option<TimestampMs>,
    },
    /// Sets the note.
    Note(String),
}

/// Why an action on an alert failed.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// There is no such alert.
    #[error("there is no such alert")]
    NotFound,
    /// The alert has ended.
    #[error("the alert has ended")]
    Ended,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<tokio_postgres::Error> for AlertError {
    fn from(error: tokio_postgres::Error) -> Self {
        AlertError::Store(error.into())
    }
}

/// Ends all alerts of a rule, and deletes the states of its targets.
pub(super) async fn end_of_rule(
    client: &impl GenericClient,
    rule: Uuid,
    reason: EndReason,
    at: TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    client.execute(END_OF_RULE, &[&rule, &at, &reason.as_str()]).await?;
    client.execute(FORGET_STATES, &[&rule]).await?;
    Ok(())
}

/// Ends all alerts of an agent that is deleted, so that none fires for nobody.
pub(super) async fn end_of_agent(
    client: &impl GenericClient,
    agent: Uuid,
    at: TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    client.execute(END_OF_AGENT, &[&agent, &at, &EndReason::AgentDeleted.as_str()]).await?;
    Ok(())
}

impl Store {
    /// Returns a page of alerts, and their total number.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alerts(
        &self,
        filter: &AlertFilter,
        sort: AlertSort,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<Alert>, i64), Error> {
        let AlertFilter {
            state,
            severities,
            rule_id,
            agent_id,
            tag,
            withheld,
            acknowledged,
            from,
            to,
            search,
        } = filter;
        let mut parameters: Vec<Parameter<'_>> =
            vec![state, severities, rule_id, agent_id, tag, withheld, acknowledged, from, to, search];
        let connection = self.connection().await?;
        let total = connection.query_opt(COUNT, &parameters).await?;
        parameters.extend([&limit as Parameter<'_>, &offset]);
        let statement = match sort {
            AlertSort::Newest => LIST_NEWEST,
            AlertSort::Oldest => LIST_OLDEST,
            AlertSort::Worst => LIST_WORST,
        };
        let rows = connection.query(statement, &parameters).await?;
        Ok((rows.iter().map(alert).collect(), total.map_or(0, |row| row.get(0))))
    }

    /// Returns one alert.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert(&self, id: Uuid) -> Result<Option<Alert>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id]).await?.as_ref().map(alert))
    }

    /// Returns the events of an alert, newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_events(&self, id: Uuid) -> Result<Vec<AlertEvent>, Error> {
        let rows = self.connection().await?.query(EVENTS, &[&id, &EVENTS_MAX]).await?;
        Ok(rows.iter().map(event).collect())
    }

    /// Returns what channels were sent about alerts.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_told(&self, ids: &[Uuid]) -> Result<Vec<AlertTold>, Error> {
        let rows = self.connection().await?.query(TOLD, &[&ids]).await?;
        let told = |row: &Row| AlertTold {
            alert_id: row.get(0),
            channel_id: row.get(1),
            channel_name: row.get(2),
            told: if row.get::<_, i16>(3) == 1 { "firing" } else { "resolved" },
            told_at: row.get(4),
            status: row.get(5),
        };
        Ok(rows.iter().map(told).collect())
    }

    /// Returns what holds but does not fire, and what cannot be judged: at most [`PENDING_MAX`], newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn pending_alerts(&self) -> Result<Vec<PendingAlert>, Error> {
        let rows = self.connection().await?.query(PENDING, &[&PENDING_MAX]).await?;
        let pending = |row: &Row| PendingAlert {
            rule_id: row.get(0),
            rule_name: row.get(1),
            agent_id: row.get(2),
            agent_name: row.get(3),
            series_name: row.get(4),
            target: row.get(5),
            state: row.get(6),
            value: row.get(7),
            reason: row.get(8),
            held_ms: row.get::<_, Option<i64>>(9).unwrap_or(0).max(0),
            for_ms: row.get::<_, Option<i64>>(10).unwrap_or(0),
            unknown_ms: row.get(11),
            started_at: row.get(12),
        };
        Ok(rows.iter().map(pending).collect())
    }

    /// Returns a summary of all alerts.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_summary(&self) -> Result<AlertSummary, Error> {
        let row = self.connection().await?.query_opt(SUMMARY, &[]).await?;
        let summary = |row: &Row| AlertSummary {
            firing: [row.get(0), row.get(1), row.get(2)],
            withheld: row.get(3),
            acknowledged: row.get(4),
            oldest_unacknowledged_at: row.get(5),
            pending: row.get(6),
            channels: row.get(7),
            failing_channels: row.get(8),
            evaluated_at: row.get(9),
            observed_from: row.get(10),
        };
        Ok(row.as_ref().map(summary).unwrap_or_default())
    }

    /// Performs an action on an alert, and returns the alert. The event's object is filled in.
    ///
    /// # Errors
    /// If there is no such alert, it has ended, or the database is unavailable.
    pub async fn change_alert(
        &self,
        id: Uuid,
        deed: &AlertDeed,
        event: AuditEvent,
    ) -> Result<Alert, AlertError> {
        let at = event.origin.at;
        let by = event.actor.name().to_owned();
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let found = transaction.query_opt(FIND, &[&id]).await?.as_ref().map(alert);
        let found = found.ok_or(AlertError::NotFound)?;
        let (kind, details, n_changed) = match deed {
            AlertDeed::Acknowledge { note } => {
                let details = serde_json::json!({"note": note});
                let parameters: [Parameter<'_>; 4] = [&id, &at, &by, note];
                ("acknowledged", details, transaction.execute(ACKNOWLEDGE, &parameters).await?)
            }
            AlertDeed::Unacknowledge => {
                let n_changed = transaction.execute(UNACKNOWLEDGE, &[&id, &at]).await?;
                ("unacknowledged", serde_json::json!({}), n_changed)
            }
            AlertDeed::Snooze { until } => {
                let n_changed = transaction.execute(SNOOZE, &[&id, &at, until]).await?;
                ("snoozed", serde_json::json!({"until": until}), n_changed)
            }
            AlertDeed::Note(note) => {
                let n_changed = transaction.execute(NOTE, &[&id, &at, note]).await?;
                ("noted", serde_json::json!({"note": note}), n_changed)
            }
        };
        if n_changed == 0 {
            return Err(AlertError::Ended);
        }
        transaction.execute(ADD_EVENT, &[&id, &at, &kind, &by, &details.to_string()]).await?;
        let name = match &found.agent_name {
            Some(agent) => format!("{}: {agent}", found.rule_name),
            None => found.rule_name.clone(),
        };
        audit::insert(&transaction, &event.about(Object::new(ObjectKind::Alert, &id, name))).await?;
        let changed = transaction.query_one(FIND, &[&id]).await?;
        transaction.commit().await?;
        Ok(alert(&changed))
    }

    /// Deletes some of the alerts that ended before the retention time, and returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_old_alerts(&self, now: TimestampMs) -> Result<u64, Error> {
        let before = now.saturating_sub(self.alert_settings().await?.history_keep_ms);
        let mut total = 0;
        for statement in [DELETE_OLD, DELETE_OLD_EVENTS] {
            loop {
                let connection = self.connection().await?;
                let n_deleted = connection.execute(statement, &[&before, &DELETED_AT_ONCE]).await?;
                total += n_deleted;
                if n_deleted < DELETED_AT_ONCE.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(total)
    }
}

fn alert(row: &Row) -> Alert {
    Alert {
        id: row.get(0),
        version: row.get(1),
        state: row.get(2),
        severity: row.get(3),
        peak_severity: row.get(4),
        rule_id: row.get(5),
        rule_name: row.get(6),
        rule_version: row.get(7),
        agent_id: row.get(8),
        agent_name: row.get(9),
        series_name: row.get(10),
        target: row.get(11),
        started_at: row.get(12),
        fired_at: row.get(13),
        ended_at: row.get(14),
        end_reason: row.get(15),
        value: row.get(16),
        peak_value: row.get(17),
        peak_at: row.get(18),
        threshold: row.get(19),
        recovery_threshold: row.get(20),
        unit: row.get(21),
        details: serde_json::from_str(row.get(22)).unwrap_or_default(),
        data_state: row.get(23),
        occurrences: row.get(24),
        flapping: row.get(25),
        withheld_by: row.get(26),
        inhibited_by: row.get(27),
        acknowledged_at: row.get(28),
        acknowledged_by: row.get(29),
        note: row.get(30),
        snoozed_until: row.get(31),
        changed_at: row.get(32),
    }
}

fn event(row: &Row) -> AlertEvent {
    AlertEvent {
        id: row.get(0),
        alert_id: row.get(1),
        at: row.get(2),
        kind: row.get(3),
        value: row.get(4),
        actor: row.get(5),
        details: serde_json::from_str(row.get(6)).unwrap_or_default(),
    }
}
