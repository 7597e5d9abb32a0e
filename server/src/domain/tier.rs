//! The resolutions of metrics: raw samples and up to three rollups, each made of the one before.

use super::family::{FinestRollup, Table};

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60 * 1000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Samples as reported.
    Raw,
    /// Buckets of one minute.
    OneMinute,
    /// Buckets of one hour.
    OneHour,
    /// Buckets of one day, UTC.
    OneDay,
}

impl Tier {
    /// All tiers, finest first.
    pub const ALL: [Tier; 4] = [Tier::Raw, Tier::OneMinute, Tier::OneHour, Tier::OneDay];
    /// The rollup tiers, finest first.
    pub const ROLLUPS: [Tier; 3] = [Tier::OneMinute, Tier::OneHour, Tier::OneDay];

    /// Returns the rollup tiers of a table, finest first.
    pub fn rollups_of(table: &Table) -> &'static [Tier] {
        match table.finest_rollup {
            FinestRollup::Minute => &Tier::ROLLUPS,
            FinestRollup::Hour => &[Tier::OneHour, Tier::OneDay],
        }
    }

    /// Returns whether a table has the tier.
    pub fn is_of(self, table: &Table) -> bool {
        self == Tier::Raw || Tier::rollups_of(table).contains(&self)
    }

    /// Returns the tier that a table has for buckets of this one: the tier itself, or raw samples.
    pub fn stored(self, table: &Table) -> Tier {
        if self.is_of(table) { self } else { Tier::Raw }
    }

    /// Returns this tier and all finer ones that a table has, the coarsest first.
    pub fn and_finer(self, table: &Table) -> impl Iterator<Item = Tier> {
        Tier::ALL.into_iter().rev().filter(move |tier| *tier <= self && tier.is_of(table))
    }

    /// Returns the tier's name in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Raw => "raw",
            Tier::OneMinute => "1m",
            Tier::OneHour => "1h",
            Tier::OneDay => "1d",
        }
    }

    /// Returns the tier with this name.
    pub fn parse(name: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// Returns the width of a bucket in milliseconds; 1 for raw samples.
    pub fn bucket_ms(self) -> i64 {
        match self {
            Tier::Raw => 1,
            Tier::OneMinute => MINUTE_MS,
            Tier::OneHour => HOUR_MS,
            Tier::OneDay => DAY_MS,
        }
    }

    /// Returns the width of a chunk of the tier's tables in milliseconds.
    pub fn chunk_ms(self) -> i64 {
        match self {
            Tier::Raw | Tier::OneMinute => DAY_MS,
            Tier::OneHour => 30 * DAY_MS,
            Tier::OneDay => 360 * DAY_MS,
        }
    }

    /// Returns how far back late samples change the tier, in milliseconds: they may be a day late, and have to pass
    /// through the finer tiers.
    pub fn late_reach_ms(self) -> i64 {
        match self {
            Tier::Raw => 0,
            Tier::OneMinute => 26 * HOUR_MS,
            Tier::OneHour => 28 * HOUR_MS,
            Tier::OneDay => 84 * HOUR_MS,
        }
    }

    /// Returns how far back the tier's refresh policy reaches, in milliseconds. Older ranges have been refreshed before
    /// or are caught up separately, since one late sample makes a refresh read the samples of all agents.
    pub fn policy_reach_ms(self) -> i64 {
        match self {
            Tier::Raw => 0,
            Tier::OneMinute => 10 * MINUTE_MS,
            Tier::OneHour => 4 * HOUR_MS,
            Tier::OneDay => 3 * DAY_MS,
        }
    }

    /// Returns how long before now a refresh of the tier ends, in milliseconds: buckets that still grow are excluded.
    pub fn refresh_end_ms(self) -> i64 {
        match self {
            Tier::Raw => 0,
            Tier::OneMinute => 2 * MINUTE_MS,
            Tier::OneHour => HOUR_MS,
            Tier::OneDay => DAY_MS,
        }
    }

    /// Returns the next coarser tier.
    pub fn coarser(self) -> Option<Tier> {
        match self {
            Tier::Raw => Some(Tier::OneMinute),
            Tier::OneMinute => Some(Tier::OneHour),
            Tier::OneHour => Some(Tier::OneDay),
            Tier::OneDay => None,
        }
    }

    /// Returns the coarsest tier whose buckets evenly divide buckets of `interval_ms`.
    pub fn coarsest_for(interval_ms: i64) -> Tier {
        let fits = |tier: &Tier| interval_ms % tier.bucket_ms() == 0;
        Tier::ALL.into_iter().rev().find(fits).unwrap_or(Tier::Raw)
    }
}

/// Returns the start of the bucket of `width_ms` that contains `timestamp`.
pub fn bucket_start(timestamp: i64, width_ms: i64) -> i64 {
    timestamp - timestamp.rem_euclid(width_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarsest_fitting_tier_answers() {
        assert_eq!(Tier::coarsest_for(10_000), Tier::Raw);
        assert_eq!(Tier::coarsest_for(MINUTE_MS), Tier::OneMinute);
        assert_eq!(Tier::coarsest_for(90_000), Tier::Raw);
        assert_eq!(Tier::coarsest_for(15 * MINUTE_MS), Tier::OneMinute);
        assert_eq!(Tier::coarsest_for(2 * HOUR_MS), Tier::OneHour);
        assert_eq!(Tier::coarsest_for(7 * DAY_MS), Tier::OneDay);
    }

    /// A sample that is as late as it may be still reaches every tier.
    #[test]
    fn late_samples_stay_within_reach() {
        let late_limit_ms = DAY_MS;
        for tier in Tier::ROLLUPS {
            assert!(late_limit_ms + 2 * MINUTE_MS + tier.bucket_ms() <= tier.late_reach_ms(), "{tier:?}");
            // TimescaleDB wants two buckets in a refresh window.
            assert!(2 * tier.bucket_ms() <= tier.policy_reach_ms() - tier.refresh_end_ms(), "{tier:?}");
        }
    }
}
