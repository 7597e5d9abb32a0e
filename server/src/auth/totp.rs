//! One-time passwords (RFC 6238: SHA-1, 6 digits, 30 seconds) and recovery codes. Pure computation.

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::domain::TimestampMs;
use crate::domain::token::TokenHash;

/// Number of recovery codes a user gets.
pub(super) const RECOVERY_CODES: usize = 10;

const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// Maximum steps the clock of the user's device may be off, either way.
const STEPS_OFF_MAX: i64 = 1;
/// As RFC 4226 recommends for SHA-1.
const SECRET_BYTES: usize = 20;
/// Enough that the code cannot be found from its hash by search.
const RECOVERY_CODE_BYTES: usize = 10;
/// The issuer shown by authenticator apps.
const ISSUER: &str = "Pika";

/// What is needed to set up a new device.
#[derive(Debug)]
pub struct TotpSetup {
    /// The secret in base32, for typing in.
    pub secret: SecretString,
    /// The same as an `otpauth://` URL, for a QR code.
    pub url: SecretString,
}

pub(super) fn random_secret() -> Result<SecretSlice<u8>, getrandom::Error> {
    let mut bytes = vec![0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.into())
}

/// Returns what a device needs to know about a secret; `None` if the secret is too short.
pub(super) fn setup(secret: &SecretSlice<u8>, username: &str) -> Option<TotpSetup> {
    // A colon separates issuer and account in the URL.
    let totp = totp(secret, &username.replace(':', " "))?;
    Some(TotpSetup { secret: totp.get_secret_base32().into(), url: totp.get_url().into() })
}

/// Returns the step this code belongs to, out of the current one and its neighbours.
pub(super) fn matching_step(secret: &SecretSlice<u8>, code: &str, now: TimestampMs) -> Option<i64> {
    let totp = totp(secret, "")?;
    let current = now.div_euclid(1_000 * STEP_SECONDS);
    (current - STEPS_OFF_MAX..=current + STEPS_OFF_MAX)
        .find(|step| u64::try_from(step * STEP_SECONDS).is_ok_and(|seconds| totp.check(code, seconds)))
}

/// Generates recovery codes and their hashes.
pub(super) fn random_recovery_codes() -> Result<Vec<(SecretString, TokenHash)>, getrandom::Error> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let mut bytes = vec![0_u8; RECOVERY_CODE_BYTES];
        getrandom::fill(&mut bytes)?;
        let text = Secret::Raw(bytes).to_encoded().to_string().to_lowercase();
        let (first, second) = text.split_at(text.len() / 2);
        let code = SecretString::from(format!("{first}-{second}"));
        let hash = recovery_code_hash(code.expose_secret());
        codes.push((code, hash));
    }
    Ok(codes)
}

/// Returns the hash of a recovery code, however it was typed.
pub(super) fn recovery_code_hash(code: &str) -> TokenHash {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    TokenHash::of(&plain.to_lowercase())
}

/// A code of digits only comes from the device; any other is a recovery code.
pub(super) fn is_of_device(code: &str) -> bool {
    code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn totp(secret: &SecretSlice<u8>, account: &str) -> Option<TOTP> {
    let secret = secret.expose_secret().to_vec();
    let step = STEP_SECONDS.unsigned_abs();
    TOTP::new(Algorithm::SHA1, DIGITS, 0, step, secret, Some(ISSUER.to_owned()), account.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretSlice<u8> {
        b"12345678901234567890".to_vec().into()
    }

    /// The test vectors of RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(matching_step(&secret(), code, 1_000 * seconds), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step() {
        let at = 1_111_111_109;
        for (off, is_right) in [(-60, false), (-30, true), (30, true), (60, false)] {
            assert_eq!(matching_step(&secret(), "081804", 1_000 * (at + off)).is_some(), is_right, "{off}");
        }
        assert_eq!(matching_step(&secret(), "081805", 1_000 * at), None);
        assert_eq!(matching_step(&secret(), "", 1_000 * at), None);
    }

    #[test]
    fn a_device_gets_what_it_needs() {
        let setup = setup(&secret(), "ana:müller").unwrap();
        assert_eq!(setup.secret.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let url = setup.url.expose_secret();
        assert!(url.starts_with("otpauth://totp/Pika:ana%20m%C3%BCller?secret=GEZDGNBV"), "{url}");
        assert!(!format!("{setup:?}").contains("GEZD"));
    }

    #[test]
    fn a_recovery_code_may_be_typed_carelessly() {
        let codes = random_recovery_codes().unwrap();
        assert_eq!(codes.len(), RECOVERY_CODES);
        let (code, hash) = &codes[0];
        assert_eq!(code.expose_secret().len(), 17);
        let typed = format!(" {} ", code.expose_secret().to_uppercase().replace('-', " "));
        assert!(!is_of_device(&typed));
        assert!(recovery_code_hash(&typed) == *hash && recovery_code_hash("x") != *hash);
    }
}
