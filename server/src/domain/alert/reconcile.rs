//! What a channel must be sent: the difference between an alert's state and what the channel was sent last. Since
//! messages follow from stored differences, none is lost if it is delayed, and none is sent twice.

use super::severity::Severity;
use crate::domain::TimestampMs;

/// Why an alert is withheld from channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// Another alert explains it.
    Inhibited,
    /// A user has silenced it.
    Silenced,
    /// The agent is under maintenance.
    Maintenance,
    /// It falls into quiet hours.
    QuietHours,
    /// A user has snoozed it.
    Snoozed,
    /// It has just ended and come back.
    Cooldown,
    /// It cannot be judged at the moment.
    Settling,
}

impl Withheld {
    /// Returns the reason's name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Withheld::Inhibited => "inhibited",
            Withheld::Silenced => "silenced",
            Withheld::Maintenance => "maintenance",
            Withheld::QuietHours => "quiet_hours",
            Withheld::Snoozed => "snoozed",
            Withheld::Cooldown => "cooldown",
            Withheld::Settling => "settling",
        }
    }
}

/// The current state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it fires.
    pub fires: bool,
    /// Its severity.
    pub severity: Severity,
    /// Why it is withheld, if it is.
    pub withheld: Option<Withheld>,
    /// Whether it is flapping.
    pub flapping: bool,
    /// Whether it is acknowledged.
    pub is_acknowledged: bool,
}

/// What a channel was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it was told that the alert fires, or that it has ended.
    pub fires: bool,
    /// The severity it was told.
    pub severity: Severity,
    /// When to repeat it.
    pub repeat_at: Option<TimestampMs>,
}

/// What a channel receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether the rule is routed there, and the channel is enabled.
    pub is_routed: bool,
    /// The lowest severity it receives.
    pub min_severity: Severity,
    /// Whether it is told when alerts end.
    pub tells_resolved: bool,
}

/// A transition to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It fires.
    Firing,
    /// It has become more severe.
    Escalated,
    /// It still fires.
    Repeat,
    /// It has ended.
    Resolved,
}

impl Transition {
    /// Returns its name in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Transition::Firing => "firing",
            Transition::Escalated => "escalated",
            Transition::Repeat => "repeat",
            Transition::Resolved => "resolved",
        }
    }
}

/// What to do about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Send it.
    Tell(Transition),
    /// Record that it has ended without sending anything.
    Note,
}

/// Returns what a channel must be sent about an alert.
pub fn difference(
    alert: &Standing,
    told: Option<&Told>,
    channel: &Reach,
    now: TimestampMs,
) -> Option<Difference> {
    let reaches = channel.is_routed && channel.min_severity <= alert.severity;
    let may_tell = reaches && alert.withheld.is_none();
    match told.filter(|told| told.fires) {
        None => (alert.fires && may_tell).then_some(Difference::Tell(Transition::Firing)),
        Some(_) if !alert.fires => {
            let waits = alert.flapping
                || (alert.withheld == Some(Withheld::QuietHours) && alert.severity != Severity::Critical);
            let is_told = channel.tells_resolved && channel.is_routed;
            match (waits, is_told) {
                (true, _) => None,
                (false, true) => Some(Difference::Tell(Transition::Resolved)),
                (false, false) => Some(Difference::Note),
            }
        }
        Some(told) if may_tell && told.severity < alert.severity => {
            Some(Difference::Tell(Transition::Escalated))
        }
        Some(told) => {
            let is_due = told.repeat_at.is_some_and(|at| at <= now);
            (is_due && may_tell && !alert.is_acknowledged).then_some(Difference::Tell(Transition::Repeat))
        }
    }
}

/// Returns the channel's state after a difference is handed over. `repeat_ms` is the rule's repeat interval.
pub fn after(difference: Difference, alert: &Standing, repeat_ms: Option<i64>, now: TimestampMs) -> Told {
    let fires = !matches!(difference, Difference::Note | Difference::Tell(Transition::Resolved));
    Told {
        fires,
        severity: alert.severity,
        repeat_at: repeat_ms.filter(|_| fires).map(|repeat_ms| now.saturating_add(repeat_ms)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn severity() -> impl Strategy<Value = Severity> {
        prop::sample::select(Severity::ALL.to_vec())
    }

    fn withheld() -> impl Strategy<Value = Option<Withheld>> {
        prop_oneof![
            3 => Just(None),
            1 => Just(Some(Withheld::Silenced)),
            1 => Just(Some(Withheld::QuietHours)),
        ]
    }

    fn standing() -> impl Strategy<Value = Standing> {
        (any::<bool>(), severity(), withheld(), any::<bool>(), any::<bool>()).prop_map(
            |(fires, severity, withheld, flapping, is_acknowledged)| Standing {
                fires,
                severity,
                withheld,
                flapping,
                is_acknowledged,
            },
        )
    }

    fn reach() -> impl Strategy<Value = Reach> {
        (any::<bool>(), severity(), any::<bool>()).prop_map(|(is_routed, min_severity, tells_resolved)| {
            Reach { is_routed, min_severity, tells_resolved }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever happens, a channel receives (firing (escalated | repeat)* resolved)*.
        #[test]
        fn what_a_channel_hears_is_in_order(steps in proptest::collection::vec((standing(), reach()), 1..60)) {
            let (mut told, mut fires): (Option<Told>, bool) = (None, false);
            for (now, (alert, reach)) in (0..).zip(steps) {
                let Some(difference) = difference(&alert, told.as_ref(), &reach, now) else { continue };
                match difference {
                    Difference::Tell(Transition::Firing) => prop_assert!(!std::mem::replace(&mut fires, true)),
                    Difference::Tell(Transition::Resolved) | Difference::Note => {
                        prop_assert!(std::mem::replace(&mut fires, false));
                    }
                    Difference::Tell(Transition::Escalated | Transition::Repeat) => prop_assert!(fires),
                }
                if difference != Difference::Note && difference != Difference::Tell(Transition::Resolved) {
                    prop_assert!(alert.withheld.is_none() && alert.fires && reach.is_routed);
                }
                told = Some(after(difference, &alert, Some(5), now));
            }
        }

        /// Once nothing is withheld and nothing changes, a channel is up to date after at most one more message.
        #[test]
        fn in_the_end_a_channel_knows_the_truth(steps in proptest::collection::vec((standing(), reach()), 0..30), last in standing(), reach in reach()) {
            let mut told: Option<Told> = None;
            for (now, (alert, reach)) in (0..).zip(steps) {
                if let Some(difference) = difference(&alert, told.as_ref(), &reach, now) {
                    told = Some(after(difference, &alert, None, now));
                }
            }
            let still = Standing { withheld: None, flapping: false, ..last };
            if let Some(difference) = difference(&still, told.as_ref(), &reach, 100) {
                told = Some(after(difference, &still, None, 100));
            }
            prop_assert_eq!(difference(&still, told.as_ref(), &reach, 101), None, "told once");
            let knows = told.is_some_and(|told| told.fires);
            let reaches = reach.is_routed && reach.min_severity <= still.severity;
            if reaches {
                prop_assert_eq!(knows, still.fires);
            }
            prop_assert!(!knows || still.fires, "nothing is over that somebody believes to be so");
        }
    }

    #[test]
    fn an_acknowledged_alert_is_not_repeated_but_its_escalation_is_told() {
        let alert = Standing {
            fires: true,
            severity: Severity::Warning,
            withheld: None,
            flapping: false,
            is_acknowledged: true,
        };
        let reach = Reach { is_routed: true, min_severity: Severity::Info, tells_resolved: true };
        let told = Told { fires: true, severity: Severity::Warning, repeat_at: Some(0) };
        assert_eq!(difference(&alert, Some(&told), &reach, 1), None);
        let alone = Standing { is_acknowledged: false, ..alert };
        assert_eq!(difference(&alone, Some(&told), &reach, 1), Some(Difference::Tell(Transition::Repeat)));
        let worse = Standing { severity: Severity::Critical, ..alert };
        assert_eq!(difference(&worse, Some(&told), &reach, 1), Some(Difference::Tell(Transition::Escalated)));
    }
}
