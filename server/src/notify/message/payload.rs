//! A message as JSON, `pika.alerts/1`. Fields are only ever added.

use serde_json::{Value, json};

use super::{Catalogue, Composed, Cut, Format, Measure, Message, Notice, Transition, neutral};

/// Maximum alerts listed.
const ALERTS_MAX: usize = 100;
/// Maximum size of the text.
const TEXT: Cut = Cut { measure: Measure::Bytes, max: 16_384 };

/// Returns the whole message, with at most this many alerts.
pub(crate) fn payload(catalogue: &Catalogue, message: &Message, alerts_max: usize) -> Value {
    let composed = Composed::of(catalogue, message);
    let alerts_max = alerts_max.min(ALERTS_MAX);
    let alerts: Vec<Value> =
        message.notices.iter().take(alerts_max).map(|notice| alert_json(message, notice)).collect();
    json!({
        "version": "pika.alerts/1",
        "key": message.key,
        "sentAt": message.sent_at,
        "channel": message.channel,
        "test": message.is_test,
        "status": if message.is_resolved() { "resolved" } else { "firing" },
        "groupTitle": composed.title,
        "text": Format::Plain.write(&composed.lines, TEXT),
        "truncated": alerts_max < message.notices.len(),
        "alerts": alerts,
    })
}

/// Returns one alert.
pub(crate) fn alert_json(message: &Message, notice: &Notice) -> Value {
    let agent = notice.agent.as_ref().map(|agent| {
        let tags: Vec<String> = agent.tags.iter().map(|tag| neutral(tag)).collect();
        json!({"id": agent.id, "name": neutral(&agent.name), "tags": tags})
    });
    let link = match message.public_url.trim_end_matches('/') {
        "" => None,
        url => Some(format!("{url}/#/alerts/{}", notice.alert_id)),
    };
    json!({
        "id": notice.alert_id,
        "status": if notice.transition == Transition::Resolved { "resolved" } else { "firing" },
        "transition": notice.transition.as_str(),
        "severity": notice.severity.as_str(),
        "rule": notice.rule_name,
        "condition": notice.subject.key,
        "summary": notice.rule_summary,
        "agent": agent,
        "series": notice.series.as_deref().map(neutral),
        "target": (!notice.target.is_empty()).then(|| neutral(&notice.target)),
        "value": notice.value,
        "unit": notice.unit,
        "threshold": notice.threshold,
        "recoveryThreshold": notice.recovery_threshold,
        "startedAt": notice.started_at,
        "firedAt": notice.fired_at,
        "endedAt": notice.ended_at,
        "endReason": notice.end_reason,
        "peakValue": notice.peak_value,
        "peakAt": notice.peak_at,
        "occurrences": notice.occurrences,
        "link": link,
        "runbookUrl": notice.runbook_url,
    })
}
