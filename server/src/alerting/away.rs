//! Reports an outage of the database once it is over: meanwhile nothing could be evaluated, and no message queued.

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

/// The minimum duration of an outage that is reported, in milliseconds.
const AWAY_MS_MIN: i64 = MINUTE_MS;

/// Returns the severity of an outage of the database for a rule; `None` if the rule is about something else.
pub(super) fn severity_of(rule: &Rule) -> Option<Severity> {
    match rule.definition.conditions.first() {
        Some(Condition::System { severity, check: SystemCheck::DatabaseAway }) => Some(*severity),
        _ => None,
    }
}

/// Returns since when the database was unavailable, if that was for long enough and no other server has evaluated rules
/// meanwhile.
pub(super) fn was_away(
    noticed_at: Option<TimestampMs>,
    clock: &AlertClock,
    now: TimestampMs,
) -> Option<TimestampMs> {
    let since = noticed_at.filter(|since| AWAY_MS_MIN <= now - since)?;
    clock.evaluated_at.is_some_and(|evaluated_at| evaluated_at < since).then_some(since)
}

/// Records an outage of the database. The channels of the rules count as notified that it fires, so that they are notified of
/// its end.
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
