//! Formats numbers, durations and times for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::catalogue::{Texts, fill};
use crate::domain::TimestampMs;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Formats a value in its unit, as in `alerts.unit`.
pub(super) fn value(texts: &Texts, value: f64, unit: &str) -> String {
    let with = |key: &str, text: String| {
        texts.units.get(key).map_or_else(|| text.clone(), |unit| fill(unit, &[("value", &text)]))
    };
    match unit {
        "percent" => format!("{value:.1} %"),
        "bytes" => bytes(value),
        "bytesPerSecond" => with("bytes_per_second", bytes(value)),
        "perSecond" => with("per_second", plain(value)),
        "perHour" => with("per_hour", plain(value)),
        "bitsPerSecond" => format!("{} Mbit/s", plain(value / 1e6)),
        "hertz" => format!("{} MHz", plain(value / 1e6)),
        "celsius" => format!("{} °C", plain(value)),
        "watts" => format!("{} W", plain(value)),
        "revolutionsPerMinute" => format!("{} rpm", plain(value)),
        "seconds" => duration(texts, whole(value * 1_000.0)),
        "milliseconds" | "ms" => duration(texts, whole(value)),
        "days" => with("days", plain(value)),
        _ => plain(value),
    }
}

/// At most two decimals, without trailing zeros.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as it should")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1_024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} PiB")
}

/// Formats the two largest parts: "2 h 5 min".
pub(super) fn duration(texts: &Texts, duration_ms: i64) -> String {
    let mut rest = duration_ms.max(0);
    let mut parts = Vec::new();
    for (key, unit_ms) in
        [("days", DAY_MS), ("hours", HOUR_MS), ("minutes", MINUTE_MS), ("seconds", SECOND_MS)]
    {
        let count = rest / unit_ms;
        rest %= unit_ms;
        if 0 < count {
            parts.push(texts.say(key, &[("n", &count.to_string())]));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { texts.say("seconds", &[("n", "0")]) } else { parts.join(" ") }
}

/// Formats a time with its offset: `2026-11-24 16:32 +01:00`.
pub(super) fn time(zone: &TimeZone, at: TimestampMs) -> String {
    local(zone, at, "%Y-%m-%d %H:%M %:z")
}

/// Formats hours and minutes.
pub(super) fn clock(zone: &TimeZone, at: TimestampMs) -> String {
    local(zone, at, "%H:%M")
}

/// Formats the date.
pub(super) fn date(zone: &TimeZone, at: TimestampMs) -> String {
    local(zone, at, "%Y-%m-%d")
}

fn local(zone: &TimeZone, at: TimestampMs, format: &str) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or_default();
    time.to_zoned_datetime(zone.clone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Language};
    use super::*;

    #[test]
    fn values_are_readable() {
        let catalogue = Catalogue::load().unwrap();
        let texts = catalogue.texts(Language::English);
        for (number, unit, text) in [
            (95.6, "percent", "95.6 %"),
            (4_080_218_931.0, "bytes", "3.8 GiB"),
            (1_023.0, "bytes", "1023 B"),
            (1_536.0, "bytesPerSecond", "1.5 KiB/s"),
            (2.5, "perSecond", "2.5/s"),
            (12.0, "perHour", "12/h"),
            (71.5, "celsius", "71.5 °C"),
            (1e9, "bitsPerSecond", "1000 Mbit/s"),
            (4.0, "count", "4"),
            (0.126, "", "0.13"),
            (31_000.0, "milliseconds", "31 s"),
            (3.0, "days", "3 days"),
            (f64::INFINITY, "milliseconds", "106751991167 d 7 h"),
        ] {
            assert_eq!(value(texts, number, unit), text);
        }
    }

    #[test]
    fn durations_have_two_parts() {
        let catalogue = Catalogue::load().unwrap();
        for (ms, en, zh) in [
            (0, "0 s", "0 秒"),
            (59_999, "59 s", "59 秒"),
            (300_000, "5 min", "5 分钟"),
            (7_500_000, "2 h 5 min", "2 小时 5 分钟"),
            (86_400_000 + 60_000, "1 d", "1 天"),
            (90_000_000, "1 d 1 h", "1 天 1 小时"),
        ] {
            assert_eq!(duration(catalogue.texts(Language::English), ms), en);
            assert_eq!(duration(catalogue.texts(Language::Chinese), ms), zh);
        }
    }

    #[test]
    fn times_have_their_offset() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(time(&zone, 1_795_534_320_000), "2026-11-24 16:32 +01:00");
        assert_eq!(time(&TimeZone::UTC, 1_795_534_320_000), "2026-11-24 15:32 +00:00");
    }
}
