//! Sample alerts, for previews and for testing templates and channels.

use serde_json::json;
use uuid::Uuid;

use super::{Notice, NoticeAgent, Severity, Subject, Transition};
use crate::domain::TimestampMs;

const MINUTE_MS: i64 = 60_000;
/// Number of alerts in the group.
const GROUP: u128 = 25;

/// A kind of sample message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// One firing alert.
    Firing,
    /// One resolved alert.
    Resolved,
    /// Many alerts, some of them resolved.
    Group,
}

/// Returns the alerts of a sample message sent at `now`.
pub fn sample_notices(sample: Sample, now: TimestampMs) -> Vec<Notice> {
    match sample {
        Sample::Firing => vec![disk(1, "web-7", Transition::Firing, now)],
        Sample::Resolved => vec![disk(1, "web-7", Transition::Resolved, now)],
        Sample::Group => (1..=GROUP)
            .map(|number| {
                let transition = if number % 5 == 0 { Transition::Resolved } else { Transition::Firing };
                disk(number, &format!("web-{number}"), transition, now)
            })
            .collect(),
    }
}

/// Returns the notice of a channel test, which says that nothing is wrong.
pub(crate) fn test_notice(id: Uuid, transition: Transition, now: TimestampMs) -> Notice {
    Notice {
        alert_id: id,
        severity: Severity::Info,
        rule_name: "Test".to_owned(),
        subject: Subject { key: "test".to_owned(), ..Subject::default() },
        agent: None,
        series: None,
        target: "system:test".to_owned(),
        value: None,
        threshold: None,
        recovery_threshold: None,
        unit: String::new(),
        peak_value: None,
        peak_at: None,
        also_firing: Vec::new(),
        runbook: String::new(),
        runbook_url: None,
        details: json!({}),
        started_at: now,
        fired_at: now,
        ..disk(0, "", transition, now)
    }
}

fn disk(number: u128, agent: &str, transition: Transition, now: TimestampMs) -> Notice {
    let is_over = transition == Transition::Resolved;
    let severity = match number % 3 {
        0 => Severity::Info,
        1 => Severity::Critical,
        _ => Severity::Warning,
    };
    Notice {
        alert_id: Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0000 + number),
        transition,
        is_unseen: false,
        severity,
        rule_name: "Disk space".to_owned(),
        rule_summary: String::new(),
        subject: Subject {
            key: "disk.usagePercent".to_owned(),
            function: "max".to_owned(),
            window_ms: 5 * MINUTE_MS,
            is_above: Some(true),
        },
        agent: Some(NoticeAgent {
            id: Uuid::from_u128(0x0193_5e00_0000_4000_8000_0000_0000_0000 + number),
            name: agent.to_owned(),
            tags: vec!["prod".to_owned(), "fra1".to_owned()],
        }),
        series: Some("/".to_owned()),
        target: String::new(),
        value: Some(if is_over { 71.2 } else { 95.6 }),
        threshold: Some(95.0),
        recovery_threshold: Some(92.0),
        unit: "percent".to_owned(),
        started_at: now - 130 * MINUTE_MS,
        fired_at: now - 125 * MINUTE_MS,
        ended_at: is_over.then_some(now),
        end_reason: is_over.then(|| "recovered".to_owned()),
        peak_value: Some(96.1),
        peak_at: Some(now - 60 * MINUTE_MS),
        occurrences: 1,
        is_flapping: false,
        details: json!({}),
        also_firing: vec!["Memory".to_owned()],
        runbook: "Clear /var/cache/apt, then extend the volume.".to_owned(),
        runbook_url: None,
    }
}
