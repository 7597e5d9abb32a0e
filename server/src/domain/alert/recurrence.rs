//! Recurring times, as a predicate of local time rather than a calendar. Nights with a clock change therefore need no
//! special rule: 22:00–07:00 is an hour longer or shorter.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::rule::RuleError;
use crate::domain::TimestampMs;

/// Maximum ranges of a day.
const TIMES_MAX: usize = 8;
/// How many days a preview looks ahead.
const PREVIEW_DAYS: i32 = 800;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are days")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// Returns the day's name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Weekday::Mon => "mon",
            Weekday::Tue => "tue",
            Weekday::Wed => "wed",
            Weekday::Thu => "thu",
            Weekday::Fri => "fri",
            Weekday::Sat => "sat",
            Weekday::Sun => "sun",
        }
    }
}

/// A range of a day, in local time. If it ends before it starts, it ends on the next day; if it ends when it starts, it
/// is a whole day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeRange {
    /// The start, such as `22:00`.
    pub start: String,
    /// The end, such as `07:00`, exclusive.
    pub end: String,
}

/// A recurring time; empty lists allow everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recurrence {
    /// The name of the time zone, such as `Europe/Berlin`.
    pub time_zone: String,
    /// The days of the week on which a range begins.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// The ranges of the day.
    #[serde(default)]
    pub times: Vec<TimeRange>,
    /// The days of the month on which a range begins: 1–31, or −1 for the last, −2 for the one before it …
    #[serde(default)]
    pub days_of_month: Vec<i8>,
    /// The months in which a range begins: 1–12.
    #[serde(default)]
    pub months: Vec<i8>,
}

/// Returns the time zone with this name, from the system or else built in; `None` if there is none.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok())?;
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl Recurrence {
    /// Validates it.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn check(&self) -> Result<(), RuleError> {
        let check = |holds: bool, path: String, message: &str| {
            if holds { Ok(()) } else { Err(RuleError { path, message: message.to_owned() }) }
        };
        check(
            zone(&self.time_zone).is_some(),
            "recurrence.timeZone".to_owned(),
            "there is no such time zone",
        )?;
        check(self.times.len() <= TIMES_MAX, "recurrence.times".to_owned(), "must be at most 8")?;
        for (index, range) in self.times.iter().enumerate() {
            let path = format!("recurrence.times[{index}]");
            let is_time = time(&range.start).is_some() && time(&range.end).is_some();
            check(is_time, path, "must be times of day such as 22:00")?;
        }
        let days = self.days_of_month.iter().all(|day| (1..=31).contains(day) || (-31..=-1).contains(day));
        check(days, "recurrence.daysOfMonth".to_owned(), "must be 1–31 or −31–−1")?;
        let months = self.months.iter().all(|month| (1..=12).contains(month));
        check(months, "recurrence.months".to_owned(), "must be 1–12")?;
        let is_short = self.weekdays.len() <= 7 && self.days_of_month.len() <= 62 && self.months.len() <= 12;
        check(is_short, "recurrence".to_owned(), "has a list with entries that are there twice")
    }

    /// Returns the ranges of a day; the whole day if there are none.
    fn ranges(&self) -> Vec<(Time, Time)> {
        if self.times.is_empty() {
            return vec![(Time::MIN, Time::MIN)];
        }
        self.times.iter().filter_map(|range| Some((time(&range.start)?, time(&range.end)?))).collect()
    }

    /// Returns whether ranges begin on a day.
    fn has_day(&self, date: Date) -> bool {
        let weekday = match date.weekday() {
            jiff::civil::Weekday::Monday => Weekday::Mon,
            jiff::civil::Weekday::Tuesday => Weekday::Tue,
            jiff::civil::Weekday::Wednesday => Weekday::Wed,
            jiff::civil::Weekday::Thursday => Weekday::Thu,
            jiff::civil::Weekday::Friday => Weekday::Fri,
            jiff::civil::Weekday::Saturday => Weekday::Sat,
            jiff::civil::Weekday::Sunday => Weekday::Sun,
        };
        let from_end = date.day() - date.days_in_month() - 1;
        let is_day = self.days_of_month.iter().any(|day| *day == date.day() || *day == from_end);
        (self.weekdays.is_empty() || self.weekdays.contains(&weekday))
            && (self.days_of_month.is_empty() || is_day)
            && (self.months.is_empty() || self.months.contains(&date.month()))
    }

    /// Returns whether it is active at a time. Never, if the time zone is no longer known.
    pub fn is_active(&self, at: TimestampMs) -> bool {
        let (Some(zone), Ok(at)) = (zone(&self.time_zone), Timestamp::from_millisecond(at)) else {
            return false;
        };
        let local = zone.to_datetime(at);
        let (today, now) = (local.date(), local.time());
        let began_yesterday = today.yesterday().is_ok_and(|yesterday| self.has_day(yesterday));
        self.ranges().into_iter().any(|(start, end)| {
            if start < end {
                self.has_day(today) && start <= now && now < end
            } else {
                (self.has_day(today) && start <= now) || (began_yesterday && now < end)
            }
        })
    }

    /// Returns start and end of the next ranges, beginning with the one active at `from`.
    pub fn windows(&self, from: TimestampMs, n: usize) -> Vec<(TimestampMs, TimestampMs)> {
        let (Some(zone), Ok(at)) = (zone(&self.time_zone), Timestamp::from_millisecond(from)) else {
            return Vec::new();
        };
        let today = zone.to_datetime(at).date();
        let mut windows = Vec::new();
        for day in -1..PREVIEW_DAYS {
            let Ok(date) = today.checked_add(day.days()) else { break };
            if !self.has_day(date) {
                continue;
            }
            for (start, end) in self.ranges() {
                let end_date = if start < end { Ok(date) } else { date.tomorrow() };
                let of = |date: Date, time: Time| {
                    Some(zone.to_timestamp(date.to_datetime(time)).ok()?.as_millisecond())
                };
                let Some((start, end)) = of(date, start).zip(end_date.ok().and_then(|date| of(date, end)))
                else {
                    continue;
                };
                if from < end && start < end {
                    windows.push((start, end));
                }
            }
            if n + self.times.len() < windows.len() {
                break;
            }
        }
        windows.sort_unstable();
        windows.truncate(n);
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS};

    fn nights(zone: &str) -> Recurrence {
        Recurrence {
            time_zone: zone.to_owned(),
            weekdays: Vec::new(),
            times: vec![TimeRange { start: "22:00".to_owned(), end: "07:00".to_owned() }],
            days_of_month: Vec::new(),
            months: Vec::new(),
        }
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn active_minutes(recurrence: &Recurrence, start: i64, end: i64) -> i64 {
        (start..end)
            .step_by(usize::try_from(MINUTE_MS).unwrap())
            .map(|at| i64::from(recurrence.is_active(at)))
            .sum()
    }

    #[test]
    fn a_night_is_as_long_as_its_clocks_say() {
        let berlin = nights("Europe/Berlin");
        for (noon, hours) in
            [("2026-03-28T12:00:00Z", 8), ("2026-10-24T12:00:00Z", 10), ("2026-11-24T12:00:00Z", 9)]
        {
            let noon = at(noon);
            assert_eq!(active_minutes(&berlin, noon, noon + DAY_MS), hours * 60, "{noon}");
            let (start, end) = berlin.windows(noon, 1)[0];
            assert_eq!(end - start, hours * HOUR_MS);
            assert!(!berlin.is_active(start - 1) && berlin.is_active(start));
            assert!(berlin.is_active(end - 1) && !berlin.is_active(end));
        }
        // Not since 2019; before that at midnight.
        let sao_paulo = nights("America/Sao_Paulo");
        let noon = at("2018-11-03T15:00:00Z");
        assert_eq!(active_minutes(&sao_paulo, noon, noon + DAY_MS), 8 * 60);
    }

    #[test]
    fn a_range_belongs_to_the_day_on_which_it_begins() {
        let friday = Recurrence { weekdays: vec![Weekday::Fri], ..nights("UTC") };
        // 2026-11-27 is a Friday.
        for (time, expected) in [
            ("2026-11-27T06:00:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T06:59:59Z", true),
            ("2026-11-28T07:00:00Z", false),
            ("2026-11-28T22:00:00Z", false),
        ] {
            assert_eq!(friday.is_active(at(time)), expected, "{time}");
        }
    }

    #[test]
    fn windows_are_where_the_predicate_holds() {
        let last_of_month = Recurrence { days_of_month: vec![-1, 15], ..nights("Asia/Shanghai") };
        let now = at("2026-11-25T00:00:00Z");
        let windows = last_of_month.windows(now, 3);
        assert_eq!(windows.len(), 3);
        let end = windows[2].1;
        let total: i64 = windows.iter().map(|(start, end)| (end - start) / MINUTE_MS).sum();
        assert_eq!(active_minutes(&last_of_month, now, end), total);
    }

    #[test]
    fn invalid_fields_are_named() {
        let path = |recurrence: Recurrence| recurrence.check().err().map(|error| error.path);
        assert_eq!(path(nights("Europe/Berlin")), None);
        assert_eq!(path(nights("Mars/Olympus")).as_deref(), Some("recurrence.timeZone"));
        let odd = Recurrence {
            times: vec![TimeRange { start: "7:00".into(), end: "25:00".into() }],
            ..nights("UTC")
        };
        assert_eq!(path(odd).as_deref(), Some("recurrence.times[0]"));
        assert_eq!(
            path(Recurrence { months: vec![13], ..nights("UTC") }).as_deref(),
            Some("recurrence.months")
        );
        let all_day = Recurrence { times: Vec::new(), ..nights("UTC") };
        assert!(all_day.is_active(0) && all_day.windows(0, 2) == [(0, DAY_MS), (DAY_MS, 2 * DAY_MS)]);
    }
}
