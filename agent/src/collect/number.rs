//! Conversions to the wire's numbers: finite, within bounds, signed.

/// Returns `part / whole` in percent, clamped to 0–100; 0 if `whole` is 0.
pub(super) fn percent(part: f64, whole: f64) -> f32 {
    if whole <= 0.0 { 0.0 } else { clamp_percent(part / whole * 100.0).unwrap_or(0.0) }
}

/// Clamps a percentage to 0–100; `None` for NaN.
pub(super) fn clamp_percent(value: f64) -> Option<f32> {
    finite(value).map(|value| value.clamp(0.0, 100.0))
}

/// Returns the value with the precision of the wire; `None` if it is not finite. sysinfo does return NaN.
pub(super) fn finite(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "metrics are stored as real")]
    let value = value as f32;
    value.is_finite().then_some(value)
}

/// Converts a size or counter for the wire. No real value is above `i64::MAX`.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a number of things for the wire; `None` if it is implausibly large.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux counts things"))]
pub(super) fn small(value: u64) -> Option<i32> {
    i32::try_from(value).ok()
}

/// Converts a value for ratios, where the last bits do not matter.
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
