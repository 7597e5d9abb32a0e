//! What an enrollment token may be good for.

use super::TimestampMs;
use super::name::{NameError, parse_name};

/// Longest name of an enrollment token, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// How much an enrollment token may be good for.
#[derive(Clone, Copy, Debug)]
pub struct EnrollmentLimits {
    /// Longest time until it ends.
    pub lifetime_max_ms: i64,
    /// Most agents that it lets in.
    pub uses_max: i32,
}

/// What is wrong with an enrollment token that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentError {
    /// The name.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// It would have ended already.
    #[error("expiresAt: must be in the future")]
    Past,
    /// It would be good for too long.
    #[error("expiresAt: must be at most {0} ms from now (auth.enrollment_lifetime_max_ms)")]
    TooLong(i64),
    /// It would let nobody in, or too many.
    #[error("maxUses: must be 1–{0} (auth.enrollment_uses_max)")]
    Uses(i32),
}

impl EnrollmentLimits {
    /// The name as it is kept.
    ///
    /// # Errors
    /// Where it cannot be one.
    pub fn name(&self, name: &str) -> Result<String, EnrollmentError> {
        Ok(parse_name(name, NAME_CHARS_MAX)?)
    }

    /// When the token ends that is to end then, at the latest with the credential that makes it.
    ///
    /// # Errors
    /// Where that is in the past, or too far ahead.
    pub fn end(
        &self,
        expires_at: TimestampMs,
        maker_expires_at: Option<TimestampMs>,
        now: TimestampMs,
    ) -> Result<TimestampMs, EnrollmentError> {
        if expires_at <= now {
            return Err(EnrollmentError::Past);
        }
        if self.lifetime_max_ms < expires_at.saturating_sub(now) {
            return Err(EnrollmentError::TooLong(self.lifetime_max_ms));
        }
        Ok(maker_expires_at.map_or(expires_at, |end| end.min(expires_at)))
    }

    /// How many agents it lets in.
    ///
    /// # Errors
    /// Where that is none, or too many.
    pub fn uses(&self, max_uses: i32) -> Result<i32, EnrollmentError> {
        if (1..=self.uses_max).contains(&max_uses) {
            Ok(max_uses)
        } else {
            Err(EnrollmentError::Uses(self.uses_max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrollment_is_bounded() {
        let limits = EnrollmentLimits { lifetime_max_ms: 1_000, uses_max: 10 };
        assert_eq!(limits.end(1_500, None, 500), Ok(1_500));
        assert_eq!(limits.end(1_500, Some(700), 500), Ok(700));
        assert_eq!(limits.end(600, Some(700), 500), Ok(600));
        assert_eq!(limits.end(1_501, None, 500), Err(EnrollmentError::TooLong(1_000)));
        assert_eq!(limits.end(i64::MAX, Some(700), -1), Err(EnrollmentError::TooLong(1_000)));
        assert_eq!(limits.end(500, None, 500), Err(EnrollmentError::Past));
        assert_eq!([1, 10].map(|uses| limits.uses(uses)), [Ok(1), Ok(10)]);
        for uses in [i32::MIN, 0, 11] {
            assert_eq!(limits.uses(uses), Err(EnrollmentError::Uses(10)));
        }
        assert!(matches!(limits.name(" "), Err(EnrollmentError::Name(NameError::Empty))));
    }
}
