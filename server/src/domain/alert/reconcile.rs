//! What a channel has to be told: the difference between what is so and what it was told last. Messages follow from stored
//! differences, so one that is held up is told later, and none is told twice.

use super::severity::Severity;
use crate::domain::TimestampMs;

/// Why nobody is told of an alert now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// Another alert stands before it.
    Inhibited,
    /// Somebody has silenced it.
    Silenced,
    /// Somebody works on the agent.
    Maintenance,
    /// It is a quiet time.
    QuietHours,
    /// Somebody does not want to hear of it for a while.
    Snoozed,
    /// It has ended and come back a moment ago.
    Cooldown,
    /// It cannot be judged just now.
    Settling,
}

impl Withheld {
    /// The reason as it is stored and shown.
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

/// What is so of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It fires.
    pub fires: bool,
    /// How bad it is.
    pub severity: Severity,
    /// Why nobody is told of it now.
    pub withheld: Option<Withheld>,
    /// It comes and goes.
    pub flapping: bool,
    /// Somebody looks after it.
    pub is_acknowledged: bool,
}

/// What a channel was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// That it fires; or that it is over.
    pub fires: bool,
    /// How bad it was.
    pub severity: Severity,
    /// When to tell it again.
    pub repeat_at: Option<TimestampMs>,
}

/// What a channel is told at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The rule is told there, and the channel is enabled.
    pub is_routed: bool,
    /// The least that it is told.
    pub min_severity: Severity,
    /// It is told what is over.
    pub tells_resolved: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It fires.
    Firing,
    /// It has become worse.
    Escalated,
    /// It still fires.
    Repeat,
    /// It is over.
    Resolved,
}

impl Transition {
    /// Its name in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Transition::Firing => "firing",
            Transition::Escalated => "escalated",
            Transition::Repeat => "repeat",
            Transition::Resolved => "resolved",
        }
    }
}

/// What has become of the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It has to be told.
    Tell(Transition),
    /// It is noted that it is over, and nobody is told.
    Note,
}

/// What a channel has to be told of an alert.
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

/// What the channel was told once the difference is handed over. `repeat_ms` is how often the rule is told again.
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

        /// Whatever happens, a channel hears (firing (escalated | repeat)* resolved)*.
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

        /// Once nothing is withheld and the world stands still, a channel knows what is so after one more message at most.
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
