//! Deterministic pseudo-random numbers (splitmix64).

/// Increment of the state per number.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the number of a state: every bit depends on all bits of the state.
pub(crate) fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Converts a number to the range from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "noise")]
pub(crate) fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}
