//! Turns pending rows into messages: which rows form one message, and what it says about their alerts.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::message::{Notice, NoticeAgent, Severity, Subject, Transition};
use crate::store::{AlertToTell, WaitingMessage};

/// Merges several messages into one with each alert's final state. What fired and ended in between is marked as unseen.
pub(super) fn merge(messages: &[WaitingMessage]) -> Option<WaitingMessage> {
    let mut items: Vec<Value> = Vec::new();
    for item in messages.iter().flat_map(|message| &message.items) {
        match items.iter_mut().find(|known| known["alertId"] == item["alertId"]) {
            Some(known) => *known = follow(known, item),
            None => items.push(item.clone()),
        }
    }
    let mut merged = messages.last()?.clone();
    merged.items = items;
    merged.created_at = messages.iter().map(|message| message.created_at).min()?;
    merged.expires_at = messages.iter().map(|message| message.expires_at).max()?;
    merged.attempts = messages.iter().map(|message| message.attempts).max()?;
    Some(merged)
}

/// Merges two transitions of one alert.
fn follow(first: &Value, second: &Value) -> Value {
    let is_unseen = first["unseen"] == true;
    let mut item = second.clone();
    let set = |item: &mut Value, name: &str, value: Value| {
        if let Some(fields) = item.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
    };
    let is_new = transition(first) == Some(Transition::Firing) || is_unseen;
    match transition(second) {
        Some(Transition::Resolved) if is_new => set(&mut item, "unseen", Value::from(true)),
        Some(Transition::Escalated | Transition::Repeat) if is_new => {
            set(&mut item, "transition", Value::from(Transition::Firing.as_str()));
        }
        _ => {}
    }
    item
}

/// Returns the ids of a message's alerts.
pub(super) fn alert_ids(items: &[Value]) -> Vec<Uuid> {
    items.iter().filter_map(|item| item["alertId"].as_str()?.parse().ok()).collect()
}

/// Returns a message's notices in order, without alerts that no longer exist.
pub(super) fn notices(items: &[Value], alerts: &[AlertToTell]) -> Vec<Notice> {
    let notice = |item: &Value| {
        let id: Uuid = item["alertId"].as_str()?.parse().ok()?;
        let alert = alerts.iter().find(|alert| alert.id == id)?;
        Some(notice(item, alert))
    };
    items.iter().filter_map(notice).collect()
}

fn notice(item: &Value, alert: &AlertToTell) -> Notice {
    let transition = transition(item).unwrap_or(Transition::Firing);
    let is_over = transition == Transition::Resolved;
    let severity =
        severity(&item["severity"]).or_else(|| Severity::of_number(alert.severity)).unwrap_or(Severity::Info);
    let agent = alert.agent_name.clone().zip(alert.agent_id);
    Notice {
        alert_id: alert.id,
        transition,
        is_unseen: item["unseen"] == true,
        severity,
        rule_name: alert.rule_name.clone(),
        rule_summary: alert.summary.clone(),
        subject: subject(&alert.definition, alert, severity),
        agent: agent.map(|(name, id)| NoticeAgent { id, name, tags: alert.tags.clone() }),
        series: alert.series_name.clone(),
        target: alert.target.clone(),
        value: item["value"].as_f64().or(alert.value),
        threshold: alert.threshold,
        recovery_threshold: alert.recovery_threshold,
        unit: alert.unit.clone(),
        started_at: alert.started_at,
        fired_at: alert.fired_at,
        // It may have ended after this transition; that is reported next.
        ended_at: alert.ended_at.filter(|_| is_over),
        end_reason: alert.end_reason.clone().filter(|_| is_over),
        peak_value: alert.peak_value,
        peak_at: alert.peak_at,
        occurrences: alert.occurrences,
        is_flapping: alert.flapping,
        details: alert.details.clone(),
        also_firing: alert.also_firing.clone(),
        runbook: alert.runbook.clone(),
        runbook_url: alert.runbook_url.clone(),
    }
}

/// Parses the name of a transition.
fn transition(item: &Value) -> Option<Transition> {
    use Transition::{Escalated, Firing, Repeat, Resolved};
    let name = item["transition"].as_str()?;
    [Firing, Escalated, Repeat, Resolved].into_iter().find(|transition| transition.as_str() == name)
}

/// Parses a severity given as number or name.
fn severity(value: &Value) -> Option<Severity> {
    match value {
        Value::Number(number) => Severity::of_number(i16::try_from(number.as_i64()?).ok()?),
        Value::String(name) => Severity::ALL.into_iter().find(|severity| severity.as_str() == name),
        _ => None,
    }
}

/// Returns what the rule's first condition looks at. For a deleted rule, it is derived from the alert.
fn subject(definition: &Value, alert: &AlertToTell, _: Severity) -> Subject {
    let nothing = Map::new();
    let condition = definition.pointer("/conditions/0").and_then(Value::as_object).unwrap_or(&nothing);
    let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = match (text("kind"), text("family"), text("metric")) {
        ("metric", family, metric) => format!("{family}.{metric}"),
        _ if alert.target.starts_with("system:channel:") => "channelFailing".to_owned(),
        _ if alert.target.starts_with("system:") => alert.target.replacen("system:", "", 1),
        ("", ..) if alert.target == "fleet" => "fleetOutage".to_owned(),
        ("", ..) if alert.target.starts_with("tag:") => "tagOutage".to_owned(),
        ("", ..) => "metric.unknown".to_owned(),
        (kind, ..) => kind.to_owned(),
    };
    Subject {
        key,
        function: text("function").to_owned(),
        window_ms: condition.get("windowMs").and_then(Value::as_i64).unwrap_or_default(),
        is_above: match text("operator") {
            "above" => Some(true),
            "below" => Some(false),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(id: i64, items: &Value) -> WaitingMessage {
        WaitingMessage {
            id,
            kind: "alerts".to_owned(),
            items: items.as_array().unwrap().clone(),
            key: Uuid::from_u128(u128::from(id.unsigned_abs())),
            is_uncertain: false,
            attempts: 0,
            created_at: 100 * id,
            expires_at: 1_000 * id,
        }
    }

    #[test]
    fn pending_messages_are_merged_into_final_states() {
        let item = |id: u128, transition: &str, severity: i64| json!({"alertId": Uuid::from_u128(id), "transition": transition, "severity": severity});
        let merged = merge(&[
            waiting(1, &json!([item(1, "firing", 2), item(2, "firing", 2), item(3, "repeat", 3)])),
            waiting(2, &json!([item(2, "escalated", 3), item(4, "resolved", 2)])),
            waiting(3, &json!([item(1, "resolved", 2), item(3, "resolved", 3), item(4, "firing", 2)])),
        ])
        .unwrap();
        assert_eq!((merged.id, merged.created_at, merged.expires_at), (3, 100, 3_000));
        assert_eq!(merged.key, Uuid::from_u128(3), "not sent to any receiver yet");
        let told: Vec<_> = merged
            .items
            .iter()
            .map(|item| {
                (
                    item["transition"].as_str().unwrap(),
                    item["severity"].as_i64().unwrap(),
                    item["unseen"] == true,
                )
            })
            .collect();
        assert_eq!(
            told,
            [("resolved", 2, true), ("firing", 3, false), ("resolved", 3, false), ("firing", 2, false)]
        );
        // Merged once more, it stays unseen.
        let again = merge(&[merged, waiting(4, &json!([item(1, "resolved", 2)]))]).unwrap();
        assert!(again.items[0]["unseen"] == true);
    }
}
