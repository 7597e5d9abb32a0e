//! Whether startup has finished, for `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether startup has finished. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Marks startup as finished: everything that requests need exists, including the first administrator.
    pub fn set_ready(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether [`Readiness::set_ready`] has been called.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
