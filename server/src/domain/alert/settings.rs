//! Settings that apply to all rules.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::recurrence::zone;
use super::rule::RuleError;
use crate::domain::tier::DAY_MS;

/// Most heartbeats.
pub const HEARTBEATS_MAX: usize = 5;
/// The shortest time between two of one, in milliseconds.
const HEARTBEAT_MS_MIN: i64 = 30_000;

/// The languages of messages.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// How a heartbeat is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeartbeatMethod {
    /// With GET.
    #[default]
    Get,
    /// With POST and an empty body.
    Post,
    /// With HEAD.
    Head,
}

/// A sign of life that goes to the outside after complete evaluations. Its address is a secret, and kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Its id.
    pub id: Uuid,
    /// The host that it goes to.
    pub host: String,
    /// How it is sent.
    pub method: HeartbeatMethod,
    /// How often, in milliseconds.
    pub period_ms: i64,
}

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
    /// Heartbeats.
    pub heartbeats: Vec<Heartbeat>,
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
        check(keep.contains(&self.history_keep_ms), "historyKeepMs", "must be one day to ten years")?;
        let periods = HEARTBEAT_MS_MIN..=DAY_MS;
        for (index, heartbeat) in self.heartbeats.iter().enumerate() {
            let path = format!("heartbeats[{index}].periodMs");
            check(periods.contains(&heartbeat.period_ms), &path, "must be 30 seconds to one day")?;
        }
        check(self.heartbeats.len() <= HEARTBEATS_MAX, "heartbeats", "must be at most 5")
    }
}
