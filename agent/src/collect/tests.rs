//! What tests of collectors share, and tests of whole machines.

pub(super) mod fixture;
mod machines;
