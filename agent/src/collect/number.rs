//! Numbers as the wire wants them: finite, within bounds, signed.

/// `part / whole` in percent, within 0–100; 0 where there is no whole.
pub(super) fn percent(part: f64, whole: f64) -> f32 {
    if whole <= 0.0 { 0.0 } else { clamp_percent(part / whole * 100.0).unwrap_or(0.0) }
}

/// A percentage within 0–100; `None` where it is no number.
pub(super) fn clamp_percent(value: f64) -> Option<f32> {
    finite(value).map(|value| value.clamp(0.0, 100.0))
}

/// The value with the precision of the wire; `None` where it is no number. sysinfo does return NaN.
pub(super) fn finite(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "metrics are stored as real")]
    let value = value as f32;
    value.is_finite().then_some(value)
}

/// A size or counter as the wire wants it. Nothing real is above `i64::MAX`.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// For ratios, where the last bits do not matter.
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_leaves_its_bounds() {
        assert_eq!(percent(1.0, 4.0), 25.0);
        assert_eq!(percent(5.0, 4.0), 100.0);
        assert_eq!(percent(-1.0, 4.0), 0.0);
        assert_eq!(percent(1.0, 0.0), 0.0);
        assert_eq!(percent(f64::NAN, 1.0), 0.0);
        assert_eq!(clamp_percent(f64::NAN), None);
        assert_eq!(finite(f64::INFINITY), None);
        assert_eq!(finite(1e300), None);
        assert_eq!(signed(u64::MAX), i64::MAX);
    }
}
