//! Compares alerts with what each channel was sent, and hands the differences over to be sent.

use std::collections::HashMap;

use uuid::Uuid;

use super::away;
use super::judge::channel_target;
use crate::domain::TimestampMs;
use crate::domain::alert::reconcile::{
    Difference, Reach, Standing, Told, Transition, Withheld, after, difference,
};
use crate::domain::alert::rule::Rule;
use crate::domain::alert::severity::Severity;
use crate::store::{Error, Evaluation, NewAlertEvent, OpenAlert, OutboxItem, TellableChannel, WithheldAlert};

/// Maximum time that critical alerts wait to be grouped, in milliseconds.
const CRITICAL_WAIT_MS: i64 = 10_000;
/// Maximum interval that critical alerts keep from the previous message, in milliseconds.
const CRITICAL_INTERVAL_MS: i64 = 30_000;

/// An alert, and why it is withheld, if it is.
pub(super) struct Candidate<'a> {
    pub(super) alert: &'a OpenAlert,
    pub(super) withheld: Option<Withheld>,
    pub(super) inhibited_by: Option<Uuid>,
}

impl Candidate<'_> {
    fn rule<'a>(&self, rules: &HashMap<Uuid, &'a Rule>) -> Option<&'a Rule> {
        self.alert.rule_id.and_then(|id| rules.get(&id)).copied()
    }

    /// Whether it was over when it was noticed: that is all that is told of it.
    fn is_of_past(&self, rules: &HashMap<Uuid, &Rule>) -> bool {
        self.rule(rules).is_some_and(|rule| away::severity_of(rule).is_some())
    }

    fn standing(&self) -> Standing {
        Standing {
            fires: self.alert.fires,
            severity: self.alert.severity,
            withheld: self.withheld,
            flapping: self.alert.flapping,
            is_acknowledged: self.alert.is_acknowledged,
        }
    }
}

/// Records why alerts are withheld, where that has changed.
pub(super) async fn note_withheld(
    evaluation: &Evaluation<'_>,
    candidates: &[Candidate<'_>],
    now: TimestampMs,
) -> Result<(), Error> {
    let changed = candidates.iter().filter(|candidate| candidate.alert.fires).filter_map(|candidate| {
        let withheld_by = candidate.withheld.map(Withheld::as_str);
        let is_same = candidate.alert.withheld_by.as_deref() == withheld_by
            && candidate.alert.inhibited_by == candidate.inhibited_by;
        let id = candidate.alert.id;
        (!is_same).then_some(WithheldAlert { id, withheld_by, inhibited_by: candidate.inhibited_by })
    });
    evaluation.set_withheld(&changed.collect::<Vec<_>>(), now).await
}

/// Hands over to each channel what is due now. Returns the number of messages.
pub(super) async fn hand_over(
    evaluation: &Evaluation<'_>,
    candidates: &[Candidate<'_>],
    rules: &HashMap<Uuid, &Rule>,
    now: TimestampMs,
) -> Result<usize, Error> {
    let channels = evaluation.channels().await?;
    if channels.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = candidates.iter().map(|candidate| candidate.alert.id).collect();
    let told = evaluation.told(&ids).await?;
    let mut n_messages = 0;
    for channel in channels {
        let differences = differences(candidates, rules, &told, &channel, now);
        n_messages += usize::from(tell(evaluation, channel, &differences, rules, now).await?);
    }
    Ok(n_messages)
}

/// What a channel has to be told, the worst first.
fn differences<'a>(
    candidates: &'a [Candidate<'a>],
    rules: &HashMap<Uuid, &Rule>,
    told: &HashMap<(Uuid, Uuid), Told>,
    channel: &TellableChannel,
    now: TimestampMs,
) -> Vec<(&'a Candidate<'a>, Difference)> {
    let mut differences: Vec<_> = candidates
        .iter()
        .filter_map(|candidate| {
            // A channel that fails cannot be told so itself.
            if candidate.alert.target == channel_target(channel.id) {
                return None;
            }
            let told = told.get(&(candidate.alert.id, channel.id));
            let rule = candidate.rule(rules);
            // Who was told of it is told that it is over.
            let is_routed = rule.map_or(told.is_some(), |rule| channel.is_told_of(rule));
            let reach = Reach {
                is_routed: is_routed && channel.enabled,
                min_severity: channel.min_severity,
                tells_resolved: channel.tells_resolved || candidate.is_of_past(rules),
            };
            Some((candidate, difference(&candidate.standing(), told, &reach, now)?))
        })
        .collect();
    differences.sort_by_key(|(candidate, _)| std::cmp::Reverse(candidate.alert.severity));
    differences
}

/// Hands over, as one message, what has waited long enough. Returns whether there was anything.
async fn tell(
    evaluation: &Evaluation<'_>,
    mut channel: TellableChannel,
    differences: &[(&Candidate<'_>, Difference)],
    rules: &HashMap<Uuid, &Rule>,
    now: TimestampMs,
) -> Result<bool, Error> {
    let told = |(candidate, difference): &(&Candidate<'_>, Difference)| {
        let repeat_ms = candidate.rule(rules).and_then(|rule| rule.definition.repeat_ms);
        (candidate.alert.id, after(*difference, &candidate.standing(), repeat_ms, now))
    };
    let is_note = |(_, difference): &&(&Candidate<'_>, Difference)| *difference == Difference::Note;
    let (notes, tells): (Vec<_>, Vec<_>) = differences.iter().partition(is_note);
    if !notes.is_empty() {
        let notes: Vec<(Uuid, Told)> = notes.into_iter().map(told).collect();
        evaluation.save_told(channel.id, &notes, None, now).await?;
    }
    if tells.is_empty() {
        if channel.difference_since.take().is_some() {
            evaluation.set_channel(&channel).await?;
        }
        return Ok(false);
    }
    let is_critical = tells.iter().any(|(candidate, _)| candidate.alert.severity == Severity::Critical);
    if !is_due(&channel, is_critical, now) {
        if channel.difference_since.is_none() {
            channel.difference_since = Some(now);
            evaluation.set_channel(&channel).await?;
        }
        return Ok(false);
    }
    let items: Vec<OutboxItem> = tells.iter().filter_map(|tell| item(tell, rules, now)).collect();
    let outbox_id = evaluation.hand_over(channel.id, &items, now).await?;
    let events: Vec<NewAlertEvent> = items.iter().map(|item| event(item, &channel)).collect();
    let told: Vec<(Uuid, Told)> = tells.into_iter().map(told).collect();
    evaluation.save_told(channel.id, &told, Some(outbox_id), now).await?;
    evaluation.save_alerts(&[], &[], &events, now).await?;
    (channel.difference_since, channel.handed_at) = (None, Some(now));
    evaluation.set_channel(&channel).await?;
    Ok(true)
}

/// Returns whether a channel is due: alerts reported together make one message.
fn is_due(channel: &TellableChannel, is_critical: bool, now: TimestampMs) -> bool {
    let shortened = |ms: i32, critical_ms: i64| {
        if is_critical { i64::from(ms).min(critical_ms) } else { i64::from(ms) }
    };
    let wait_ms = shortened(channel.group_wait_ms, CRITICAL_WAIT_MS);
    let interval_ms = shortened(channel.group_interval_ms, CRITICAL_INTERVAL_MS);
    let has_waited = now - channel.difference_since.unwrap_or(now) >= wait_ms;
    // A clock that was set back blocks nobody.
    let is_apart = channel.handed_at.is_none_or(|at| now < at || interval_ms <= now - at);
    has_waited && is_apart
}

fn item(
    (candidate, difference): &&(&Candidate<'_>, Difference),
    rules: &HashMap<Uuid, &Rule>,
    now: TimestampMs,
) -> Option<OutboxItem> {
    let Difference::Tell(transition) = difference else {
        return None;
    };
    Some(OutboxItem {
        alert_id: candidate.alert.id,
        transition: transition.as_str(),
        severity: candidate.alert.severity.as_str(),
        at: now,
        value: candidate.alert.value.filter(|_| *transition != Transition::Resolved),
        unseen: candidate.is_of_past(rules),
    })
}

fn event(item: &OutboxItem, channel: &TellableChannel) -> NewAlertEvent {
    NewAlertEvent {
        alert_id: Some(item.alert_id),
        kind: "told",
        value: item.value,
        details: serde_json::json!({"channelId": channel.id, "transition": item.transition}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_wait_to_be_grouped() {
        let channel = TellableChannel {
            id: Uuid::nil(),
            enabled: true,
            is_default: true,
            min_severity: Severity::Info,
            tells_resolved: true,
            group_wait_ms: 30_000,
            group_interval_ms: 300_000,
            difference_since: Some(1_000_000),
            handed_at: None,
        };
        let due = |channel: &TellableChannel, is_critical| {
            [0, 10_000, 30_000, 300_000].map(|ms| is_due(channel, is_critical, 1_000_000 + ms))
        };
        assert_eq!(due(&channel, false), [false, false, true, true]);
        assert_eq!(due(&channel, true), [false, true, true, true]);
        let told_before = TellableChannel { handed_at: Some(1_000_000), ..channel };
        assert_eq!(due(&told_before, false), [false, false, false, true]);
        assert_eq!(due(&told_before, true), [false, false, true, true]);
    }
}
