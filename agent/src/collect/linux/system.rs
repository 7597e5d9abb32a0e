//! The operating system: sockets, kernel tables, the parts of memory, its health, and the agent itself. Runs on a thread
//! of its own, because systemd may keep it waiting.
//!
//! Each part reads what is there and fills in its fields. What the kernel does not have is absent, and no failure.

mod bus;
mod health;
mod kernel;
mod memory;
mod own;
mod sockets;

use pika_protocol::SystemMetrics;

use self::health::Health;
use self::kernel::Kernel;
use self::memory::MemoryDetail;
use self::own::Own;
use self::sockets::Sockets;
use crate::collect::{CollectError, Collector, Setup, Tick};

/// The collector.
pub(in crate::collect) struct System {
    sockets: Sockets,
    kernel: Kernel,
    memory: MemoryDetail,
    health: Health,
    own: Own,
}

impl System {
    pub(in crate::collect) fn new(setup: &Setup<'_>) -> System {
        let Setup { roots, view, .. } = setup;
        System {
            sockets: Sockets::new(roots, *view),
            kernel: Kernel::new(roots, *view),
            memory: MemoryDetail::new(roots, *view),
            health: Health::new(roots, *view),
            own: Own::new(roots),
        }
    }
}

impl Collector for System {
    type Output = Option<SystemMetrics>;

    fn collect(&mut self, tick: Tick) -> Result<Option<SystemMetrics>, CollectError> {
        let mut metrics = SystemMetrics::default();
        self.sockets.read(tick, &mut metrics);
        self.kernel.read(&mut metrics);
        self.memory.read(&mut metrics);
        self.health.read(tick, &mut metrics);
        self.own.read(tick, &mut metrics);
        Ok(Some(metrics))
    }
}
