//! The time since the machine was booted. It cannot be set, so it reveals changes of the wall clock.

use std::fs;

/// The time since boot, including time asleep, and the id of the boot.
#[derive(Clone, Debug)]
pub(crate) struct BootClock {
    id: Option<String>,
    #[cfg(not(target_os = "linux"))]
    started: (std::time::Instant, u64),
}

impl BootClock {
    pub(crate) fn new() -> BootClock {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        BootClock {
            id: id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
            #[cfg(not(target_os = "linux"))]
            started: (std::time::Instant::now(), sysinfo::System::uptime().unwrap_or(0)),
        }
    }

    /// Returns an id that differs between boots; `None` if the operating system has none.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the milliseconds since boot.
    #[cfg(target_os = "linux")]
    #[expect(clippy::unused_self, reason = "the signature is that of the other systems")]
    pub(crate) fn uptime_ms(&self) -> i64 {
        uptime_ms()
    }

    /// Returns the milliseconds since boot.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn uptime_ms(&self) -> i64 {
        let (instant, uptime_seconds) = self.started;
        let since_start = i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
        let uptime_seconds = i64::try_from(uptime_seconds).unwrap_or(i64::MAX);
        uptime_seconds.saturating_mul(1_000).saturating_add(since_start)
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::useless_conversion, reason = "it is 32 bits wide on 32-bit systems")]
fn uptime_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000 + i64::from(time.tv_nsec) / 1_000_000
}

/// Returns when the machine was booted, by a wall clock that shows `now_ms`, in milliseconds since the Unix epoch; it
/// changes when that clock is set, and after another boot. `None` if the operating system's time since boot is not
/// precise enough.
#[cfg(target_os = "linux")]
pub(crate) fn booted_at_ms(now_ms: i64) -> Option<i64> {
    Some(now_ms.saturating_sub(uptime_ms()))
}

/// Always `None` on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn booted_at_ms(_: i64) -> Option<i64> {
    None
}

#[cfg(test)]
#[test]
fn this_machine_was_booted() {
    let clock = BootClock::new();
    assert!(0 < clock.uptime_ms());
    assert!(!cfg!(target_os = "linux") || clock.id().is_some() && booted_at_ms(1 << 50).is_some());
}
