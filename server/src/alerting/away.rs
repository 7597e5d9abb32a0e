//! The database was away: nothing was evaluated, and nobody could be told. It is told afterwards, once.

use serde_json::json;
use uuid::Uuid;

use super::judge::system_target;
use super::judged::Judged;
use crate::domain::TimestampMs;
use crate::domain::alert::condition::{Condition, SystemCheck};
use crate::domain::alert::reconcile::Told;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::severity::Severity;
use crate::domain::alert::step::EndReason;
use crate::domain::tier::MINUTE_MS;
use crate::store::{AlertClock, Error, Evaluation, NewAlert, NewAlertEvent, TellableChannel};

/// How long the database is away at least to be told of, in milliseconds.
const AWAY_MS_MIN: i64 = MINUTE_MS;

/// How bad it is for a rule that the database was away; `None` for rules that do not speak of it.
pub(super) fn severity_of(rule: &Rule) -> Option<Severity> {
    match rule.definition.conditions.first() {
        Some(Condition::System { severity, check: SystemCheck::DatabaseAway }) => Some(*severity),
        _ => None,
    }
}

/// Since when the database was away, where that was for long enough and no other server has evaluated meanwhile: that one
/// had it.
pub(super) fn was_away(
    noticed_at: Option<TimestampMs>,
    clock: &AlertClock,
    now: TimestampMs,
) -> Option<TimestampMs> {
    let since = noticed_at.filter(|since| AWAY_MS_MIN <= now - since)?;
    clock.evaluated_at.is_some_and(|evaluated_at| evaluated_at < since).then_some(since)
}

/// Writes that the database was away. The channels that are told of it count as told that it is, so that they are told that
/// it is over.
pub(super) async fn note(
    evaluation: &Evaluation<'_>,
    rules: &[&Rule],
    since: TimestampMs,
    now: TimestampMs,
) -> Result<(), Error> {
    let channels = evaluation.channels().await?;
    for (rule, severity) in rules.iter().filter_map(|rule| Some((rule, severity_of(rule)?))) {
        let alert = alert(rule, severity, since);
        let id = alert.id;
        let details = json!({"severity": severity.as_str()});
        let fired = NewAlertEvent { alert_id: Some(id), kind: "fired", value: None, details };
        evaluation.save_alerts(&[alert], &[], &[fired], since).await?;
        let mut judged = Judged::default();
        judged.end_alert(id, severity, EndReason::Recovered, now);
        evaluation.save_alerts(&[], &judged.updates, &judged.events, now).await?;
        let told = Told { fires: true, severity, repeat_at: None };
        let is_told = |channel: &&TellableChannel| {
            channel.enabled && channel.min_severity <= severity && channel.is_told_of(rule)
        };
        for channel in channels.iter().filter(is_told) {
            evaluation.save_told(channel.id, &[(id, told)], None, now).await?;
        }
    }
    Ok(())
}

fn alert(rule: &Rule, severity: Severity, since: TimestampMs) -> NewAlert {
    NewAlert {
        id: Uuid::now_v7(),
        rule_id: rule.id,
        rule_name: rule.name.clone(),
        rule_version: rule.version,
        agent_key: None,
        agent_id: None,
        agent_name: None,
        series_name: None,
        target: system_target(SystemCheck::DatabaseAway),
        severity: severity.number(),
        started_at: since,
        fired_at: since,
        value: None,
        threshold: None,
        recovery_threshold: None,
        unit: "",
        details: json!({}),
        flapping: false,
    }
}
