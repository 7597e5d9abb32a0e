//! How people and their programs authenticate: passwords, second factors, sessions, API tokens, and limits on guessing.

mod accounts;
mod attempts;
mod authority;
mod error;
mod limits;
mod login;
mod password;
mod totp;
mod totp_secrets;

pub use accounts::{FIRST_ADMIN, NewAccount, NewPassword, TotpSetup};
pub use authority::Auth;
pub use error::AuthError;
pub use login::{Login, LoginAttempt};
pub use password::{PasswordError, PasswordMatch, Passwords};
