//! What holds for all rules.

use super::recurrence::zone;
use super::rule::RuleError;
use crate::domain::tier::DAY_MS;

/// The languages that messages are written in.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// What holds for all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// The language of messages, where a channel does not say its own.
    pub language: String,
    /// The time zone of times in messages, where a channel does not say its own.
    pub time_zone: String,
    /// So many agents at least that leave together make an outage of the fleet.
    pub fleet_min: i32,
    /// And so many percent of those that were there.
    pub fleet_percent: i32,
    /// The same of agents with a tag.
    pub tag_percent: i32,
    /// How long ended alerts are kept, in milliseconds.
    pub history_keep_ms: i64,
    /// Counts changes.
    pub version: i32,
}

impl AlertSettings {
    /// Checks the values.
    ///
    /// # Errors
    /// Names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), RuleError> {
        let check = |holds, path: &str, message: &str| {
            if holds { Ok(()) } else { Err(RuleError { path: path.to_owned(), message: message.to_owned() }) }
        };
        check(LANGUAGES.contains(&self.language.as_str()), "language", "must be en or zh")?;
        check(zone(&self.time_zone).is_some(), "timeZone", "there is no such time zone")?;
        check((2..=1_000).contains(&self.fleet_min), "fleetMin", "must be 2–1000")?;
        check((1..=100).contains(&self.fleet_percent), "fleetPercent", "must be 1–100")?;
        check((1..=100).contains(&self.tag_percent), "tagPercent", "must be 1–100")?;
        let keep = DAY_MS..=3_650 * DAY_MS;
        check(keep.contains(&self.history_keep_ms), "historyKeepMs", "must be one day to ten years")
    }
}
