//! Rounding of numbers in answers.

/// Like [`rounded`], for 32-bit numbers.
pub(super) fn rounded_f32(value: f32) -> f64 {
    rounded(f64::from(value))
}

/// Rounds to three decimals: samples are stored with 24 bits, so more would be conversion noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
