//! Code shared by agent and server besides the wire types: the clock, errors, configuration layers, tokens, and TLS trust.
//!
//! A leaf crate: it depends on neither of the two, and reads only the clock, the system's randomness and certificates.

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
