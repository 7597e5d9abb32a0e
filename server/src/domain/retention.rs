//! How long each tier is kept, and validation of combinations.

use std::fmt;

use super::tier::{DAY_MS, HOUR_MS, Tier};

/// Maximum finite retention: a thousand years, in milliseconds.
const KEEP_MS_MAX: i64 = 365_250 * DAY_MS;

/// How long each tier is kept, in milliseconds; `None` means forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Raw samples.
    pub raw_ms: Option<i64>,
    /// Buckets of one minute.
    pub one_minute_ms: Option<i64>,
    /// Buckets of one hour.
    pub one_hour_ms: Option<i64>,
    /// Buckets of one day.
    pub one_day_ms: Option<i64>,
}

/// Why a combination is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionError {
    /// The tier whose value is invalid.
    pub tier: Tier,
    /// What would happen, and which values are valid.
    pub message: String,
}

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RetentionError {}

impl Retention {
    /// Returns how long a tier is kept, in milliseconds.
    pub fn keep_ms(&self, tier: Tier) -> Option<i64> {
        match tier {
            Tier::Raw => self.raw_ms,
            Tier::OneMinute => self.one_minute_ms,
            Tier::OneHour => self.one_hour_ms,
            Tier::OneDay => self.one_day_ms,
        }
    }

    /// Sets how long a tier is kept, in milliseconds.
    pub fn set_keep_ms(&mut self, tier: Tier, keep_ms: Option<i64>) {
        match tier {
            Tier::Raw => self.raw_ms = keep_ms,
            Tier::OneMinute => self.one_minute_ms = keep_ms,
            Tier::OneHour => self.one_hour_ms = keep_ms,
            Tier::OneDay => self.one_day_ms = keep_ms,
        }
    }

    /// Returns the minimum retention of a tier: the reach of a refresh of its rollup, plus a chunk, which is dropped as
    /// a whole, plus a bucket. A refresh whose source is partly dropped would erase rollups.
    pub fn keep_ms_min(tier: Tier) -> i64 {
        let made_of_it = match tier {
            // Hourly histograms are also made of raw samples.
            Tier::Raw => Tier::OneHour,
            Tier::OneMinute => Tier::OneHour,
            Tier::OneHour => Tier::OneDay,
            Tier::OneDay => return DAY_MS,
        };
        made_of_it.late_reach_ms() + tier.chunk_ms() + made_of_it.bucket_ms() + HOUR_MS
    }

    /// Rejects combinations that would lose data.
    ///
    /// # Errors
    /// If a tier's value is invalid, with the valid values.
    pub fn check(&self) -> Result<(), RetentionError> {
        for tier in Tier::ALL {
            let refuse = |message| Err(RetentionError { tier, message });
            let coarser = tier.coarser().and_then(|coarser| Some((coarser, self.keep_ms(coarser)?)));
            let Some(keep_ms) = self.keep_ms(tier) else {
                if let Some((coarser, _)) = coarser {
                    return refuse(format!(
                        "{} is kept forever, so {} must be, too",
                        tier.name(),
                        coarser.name()
                    ));
                }
                continue;
            };
            let keep_ms_min = Self::keep_ms_min(tier);
            if keep_ms < keep_ms_min {
                return refuse(format!(
                    "{} must be kept for at least {keep_ms_min} ms, because late samples are still rolled up from it; \
                     with {keep_ms} ms a refresh would erase rollups",
                    tier.name()
                ));
            }
            if KEEP_MS_MAX < keep_ms {
                return refuse(format!(
                    "{} may be kept for {KEEP_MS_MAX} ms at most, or forever",
                    tier.name()
                ));
            }
            if let Some((coarser, coarser_ms)) = coarser
                && coarser_ms < keep_ms
            {
                return refuse(format!(
                    "{} may not be kept for longer than {}: charts would have a gap between the two",
                    tier.name(),
                    coarser.name()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Retention = Retention {
        raw_ms: Some(30 * DAY_MS),
        one_minute_ms: Some(90 * DAY_MS),
        one_hour_ms: Some(400 * DAY_MS),
        one_day_ms: None,
    };

    #[test]
    fn the_defaults_are_allowed() {
        DEFAULT.check().unwrap();
    }

    #[test]
    fn what_would_erase_rollups_is_refused() {
        let shortest = Retention {
            raw_ms: Some(Retention::keep_ms_min(Tier::Raw)),
            one_minute_ms: Some(Retention::keep_ms_min(Tier::OneMinute)),
            one_hour_ms: Some(Retention::keep_ms_min(Tier::OneHour)),
            one_day_ms: None,
        };
        shortest.check().unwrap();
        for tier in [Tier::Raw, Tier::OneMinute, Tier::OneHour] {
            let mut shorter = shortest;
            shorter.set_keep_ms(tier, shortest.keep_ms(tier).map(|keep_ms| keep_ms - 1));
            shorter.check().unwrap_err();
        }
        let raw_too_short = Retention { raw_ms: Some(DAY_MS), ..DEFAULT };
        let error = raw_too_short.check().unwrap_err();
        assert_eq!(error.tier, Tier::Raw);
        assert!(error.message.contains("erase rollups"), "{error}");
    }

    #[test]
    fn a_coarser_tier_is_kept_at_least_as_long() {
        let hole = Retention { one_hour_ms: Some(60 * DAY_MS), ..DEFAULT };
        assert_eq!(hole.check().unwrap_err().tier, Tier::OneMinute);
        let for_ever = Retention { raw_ms: None, ..DEFAULT };
        assert_eq!(for_ever.check().unwrap_err().tier, Tier::Raw);
    }
}
