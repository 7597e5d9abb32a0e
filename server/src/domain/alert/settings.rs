//! Settings that apply to all rules.

use super::recurrence::zone;
use super::rule::RuleError;
use crate::domain::tier::DAY_MS;

/// The languages of messages.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// Settings that apply to all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// The language of messages, unless a channel has its own.
    pub language: String,
    /// The time zone of messages, unless a channel has its own.
    pub time_zone: String,
    /// Minimum agents that must leave together for a fleet outage.
    pub fleet_min: i32,
    /// Minimum percentage of those online that must leave together.
    pub fleet_percent: i32,
    /// The same for agents with a tag.
    pub tag_percent: i32,
    /// How long ended alerts are kept, in milliseconds.
    pub history_keep_ms: i64,
    /// Incremented by every change.
    pub version: i32,
}

impl AlertSettings {
    /// Validates the values.
    ///
    /// # Errors
    /// Names the first invalid field.
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
