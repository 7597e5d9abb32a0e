//! The verdict on a rule's target, for each severity.

use super::severity::Severity;

/// The outcome of one look for one severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The condition holds.
    Holds,
    /// The condition does not hold, but has not ended either.
    Between,
    /// The condition is clear.
    Clear,
    /// The condition cannot be judged.
    Unknown,
}

/// Why something cannot be judged. Missing data neither fires nor ends an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no sample in the window.
    NoData,
    /// The samples cover too little of the window.
    LowCoverage,
    /// The newest sample is too old.
    Stale,
    /// The agent is not connected.
    Offline,
    /// Pika has not been watching for long enough to tell who is missing.
    Settling,
    /// So many agents lack data that Pika itself must be at fault.
    IngestStalled,
    /// The database did not answer in time.
    EvaluationFailed,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 7] = [
        Reason::NoData,
        Reason::LowCoverage,
        Reason::Stale,
        Reason::Offline,
        Reason::Settling,
        Reason::IngestStalled,
        Reason::EvaluationFailed,
    ];

    /// Returns the reason's name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoData => "no_data",
            Reason::LowCoverage => "low_coverage",
            Reason::Stale => "stale",
            Reason::Offline => "offline",
            Reason::Settling => "settling",
            Reason::IngestStalled => "ingest_stalled",
            Reason::EvaluationFailed => "evaluation_failed",
        }
    }

    /// Parses the name of a reason.
    pub fn parse(name: &str) -> Option<Self> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// The result of one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The outcome of each severity, the lowest first; `None` if the rule does not use it.
    pub levels: [Option<Outcome>; 3],
    /// The value of the first condition.
    pub value: Option<f64>,
    /// Why it cannot be judged, if it cannot.
    pub reason: Option<Reason>,
    /// For how long it has already been observed to hold, in milliseconds.
    pub observed_ms: i64,
}

impl Verdict {
    /// Returns whether no severity can be judged.
    pub fn is_unknown(&self) -> bool {
        let mut known = self.levels.iter().flatten();
        known.all(|outcome| *outcome == Outcome::Unknown)
    }

    /// Returns the highest severity that holds.
    pub fn severity(&self) -> Option<Severity> {
        Severity::ALL.into_iter().rev().find(|one| self.levels[one.index()] == Some(Outcome::Holds))
    }
}

/// Combines several conditions: clear if any is clear, otherwise unknown if any is unknown, and it holds if all hold.
pub fn all(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let (mut holds, mut unknown) = (true, false);
    for outcome in outcomes {
        match outcome {
            Outcome::Clear => return Outcome::Clear,
            Outcome::Unknown => unknown = true,
            Outcome::Between => holds = false,
            Outcome::Holds => {}
        }
    }
    match (unknown, holds) {
        (true, _) => Outcome::Unknown,
        (false, true) => Outcome::Holds,
        (false, false) => Outcome::Between,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_together() {
        use Outcome::{Between, Clear, Holds, Unknown};
        for (outcomes, expected) in [
            (vec![Holds, Holds], Holds),
            (vec![Holds, Between], Between),
            (vec![Holds, Unknown], Unknown),
            (vec![Between, Unknown], Unknown),
            (vec![Unknown, Clear], Clear),
            (vec![Holds, Clear], Clear),
        ] {
            assert_eq!(all(outcomes.clone()), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn reasons_are_read_as_they_are_written() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
    }
}
