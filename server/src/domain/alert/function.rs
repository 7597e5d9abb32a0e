//! How the values of a window are aggregated.

use serde::{Deserialize, Serialize};

/// How a window's values are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// The average.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The newest.
    Last,
}

impl Function {
    /// Returns the function's name, as written in rules.
    pub fn name(self) -> &'static str {
        match self {
            Function::Avg => "avg",
            Function::Min => "min",
            Function::Max => "max",
            Function::Last => "last",
        }
    }
}
