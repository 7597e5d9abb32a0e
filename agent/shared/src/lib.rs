//! What agent and server have in common and is no wire type: time, errors, tokens, layers of
//! configuration, and how servers are trusted.
//!
//! A leaf: it knows neither of the two, and reads nothing but the clock, the system's randomness and certificates.

mod clock;
mod error_chain;
mod key_pin;
pub mod layers;
pub mod text;
pub mod tls;
pub mod token;

pub use clock::Clock;
pub use error_chain::{ErrorChain, chain};
pub use key_pin::{KeyPin, KeyPinError};
