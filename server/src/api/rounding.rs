//! Numbers as they are answered.

/// As [`rounded`], of a number of 32 bits.
pub(super) fn rounded_f32(value: f32) -> f64 {
    rounded(f64::from(value))
}

/// Samples are kept with 24 bits; more than three decimals would be noise of the conversion.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
