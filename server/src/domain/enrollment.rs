//! The limits of enrollment tokens.

use super::TimestampMs;
use super::name::{NameError, parse_name};

/// Maximum length of an enrollment token's name, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// The limits of an enrollment token.
#[derive(Clone, Copy, Debug)]
pub struct EnrollmentLimits {
    /// Maximum lifetime, in milliseconds.
    pub lifetime_max_ms: i64,
    /// Maximum number of uses.
    pub uses_max: i32,
}

/// Why an enrollment token cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentError {
    /// The name is invalid.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// The expiry is not in the future.
    #[error("expiresAt: must be in the future")]
    Past,
    /// The lifetime exceeds the limit.
    #[error("expiresAt: must be at most {0} ms from now (auth.enrollment_lifetime_max_ms)")]
    TooLong(i64),
    /// The number of uses is zero or exceeds the limit.
    #[error("maxUses: must be 1–{0} (auth.enrollment_uses_max)")]
    Uses(i32),
}

impl EnrollmentLimits {
    /// Validates and normalizes the name.
    ///
    /// # Errors
    /// If the name is invalid.
    pub fn name(&self, name: &str) -> Result<String, EnrollmentError> {
        Ok(parse_name(name, NAME_CHARS_MAX)?)
    }

    /// Validates the expiry, and limits it to that of the credential that creates the token.
    ///
    /// # Errors
    /// If it is in the past, or exceeds the limit.
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

    /// Validates the number of uses.
    ///
    /// # Errors
    /// If it is zero or exceeds the limit.
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
