//! Severities of alerts.

use serde::{Deserialize, Serialize};

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    Info,
    /// Needs attention.
    Warning,
    /// Needs immediate attention.
    Critical,
}

impl Severity {
    /// All severities, the lowest first.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    /// Returns its position in [`Severity::ALL`].
    pub fn index(self) -> usize {
        match self {
            Severity::Info => 0,
            Severity::Warning => 1,
            Severity::Critical => 2,
        }
    }

    /// Returns the number it is stored as: 1–3.
    pub fn number(self) -> i16 {
        match self {
            Severity::Info => 1,
            Severity::Warning => 2,
            Severity::Critical => 3,
        }
    }

    /// Returns the severity of a stored number; `None` if invalid.
    pub fn of_number(number: i16) -> Option<Self> {
        Severity::ALL.into_iter().find(|severity| severity.number() == number)
    }

    /// Returns its name in the API and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}
