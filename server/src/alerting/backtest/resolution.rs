//! How fine the past is read for a back-test.

use super::super::replay::queries_of;
use crate::domain::TimestampMs;
use crate::domain::alert::condition::RAW_WINDOW_MS_MAX;
use crate::domain::alert::rule::Rule;
use crate::domain::retention::Retention;
use crate::domain::tier::{HOUR_MS, MINUTE_MS, Tier};

/// Maximum agents read at once.
const SLICE_AGENTS_MAX: usize = 200;
/// Maximum buckets read at once, as far as a single agent does not have more.
const SLICE_POINTS_MAX: i64 = 300_000;
/// Maximum buckets of all agents together; beyond that a coarser tier is read.
const POINTS_MAX: i64 = 3_000_000;
/// The width of buckets of raw samples, in milliseconds.
const RAW_BUCKET_MS: i64 = 15_000;

/// How the past is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolution {
    /// `None` if no samples are needed.
    pub(super) tier: Option<Tier>,
    /// The width of a bucket, in milliseconds.
    pub(super) bucket_ms: i64,
    /// Number of buckets of one agent.
    points_per_agent: i64,
}

impl Resolution {
    /// Returns the finest resolution that is still stored and does not have too many buckets.
    pub(super) fn finest(
        rule: &Rule,
        (start, end): (TimestampMs, TimestampMs),
        now: TimestampMs,
        retention: Retention,
        (n_agents, n_series): (usize, usize),
    ) -> Self {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let queries = queries_of(rule);
        if queries.is_empty() {
            return Self { tier: None, bucket_ms: RAW_BUCKET_MS, points_per_agent: 1 };
        }
        let is_kept = |tier| retention.keep_ms(tier).is_none_or(|keep_ms| now - keep_ms <= start);
        let points = |bucket_ms: i64| number(n_series).saturating_mul((end - start) / bucket_ms + 1);
        let is_short = queries.iter().all(|query| query.window_ms <= RAW_WINDOW_MS_MAX);
        let fits = |tier: Tier, bucket_ms: i64| is_kept(tier) && points(bucket_ms) <= POINTS_MAX;
        let (tier, bucket_ms) = if is_short && fits(Tier::Raw, RAW_BUCKET_MS) {
            (Tier::Raw, RAW_BUCKET_MS)
        } else if fits(Tier::OneMinute, MINUTE_MS) {
            (Tier::OneMinute, MINUTE_MS)
        } else {
            (Tier::OneHour, HOUR_MS)
        };
        Self { tier: Some(tier), bucket_ms, points_per_agent: points(bucket_ms) / number(n_agents).max(1) }
    }

    /// Returns how many agents are read at once.
    pub(super) fn agents_per_slice(self) -> usize {
        let agents = SLICE_POINTS_MAX / self.points_per_agent.max(1);
        usize::try_from(agents).unwrap_or(SLICE_AGENTS_MAX).clamp(1, SLICE_AGENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::builtin;
    use crate::domain::tier::DAY_MS;

    fn rule(key: &str) -> Rule {
        let builtin = builtin::rules().into_iter().find(|rule| rule.key == key).unwrap();
        Rule::unsaved("x".to_owned(), builtin.definition)
    }

    #[test]
    fn the_finest_resolution_that_is_kept_and_not_too_large_is_read() {
        let retention = Retention {
            raw_ms: Some(7 * DAY_MS),
            one_minute_ms: Some(90 * DAY_MS),
            one_hour_ms: None,
            one_day_ms: None,
        };
        let now = 1_795_403_300_000;
        let tier = |key: &str, days: i64, n: usize| {
            let span = (now - days * DAY_MS, now);
            Resolution::finest(&rule(key), span, now, retention, (n, n)).tier
        };
        assert_eq!(tier("memory", 7, 1), Some(Tier::Raw));
        assert_eq!(tier("memory", 8, 1), Some(Tier::OneMinute));
        assert_eq!(tier("cpu-steal", 7, 1), Some(Tier::OneMinute), "a window of 20 minutes");
        assert_eq!(tier("memory", 30, 100), Some(Tier::OneHour));
        assert_eq!(tier("memory", 91, 1), Some(Tier::OneHour));
        assert_eq!(tier("agent-offline", 91, 1_000), None);
        let of_hours = Resolution { tier: Some(Tier::OneHour), bucket_ms: HOUR_MS, points_per_agent: 720 };
        assert_eq!(of_hours.agents_per_slice(), SLICE_AGENTS_MAX);
        assert_eq!(Resolution { points_per_agent: i64::MAX, ..of_hours }.agents_per_slice(), 1);
    }
}
