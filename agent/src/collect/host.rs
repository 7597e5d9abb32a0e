//! What the machine is: its names, and how long it has been running.

use std::fs;

use pika_protocol::limits::NAME_CHARS_MAX;
use sysinfo::System;

/// What an agent says of its machine when it registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Host name; `unknown` where there is none.
    pub hostname: String,
    /// Operating system as the original Pika names it, for example `linux` or `darwin`.
    pub os: String,
    /// Processor architecture as the original Pika names it, for example `amd64`.
    pub arch: String,
}

impl Host {
    /// Asks the operating system.
    pub fn detect() -> Host {
        let hostname = System::host_name().ok().filter(|name| !name.is_empty());
        Host {
            hostname: hostname.unwrap_or_else(|| "unknown".to_owned()).chars().take(NAME_CHARS_MAX).collect(),
            os: match std::env::consts::OS {
                "macos" => "darwin",
                os => os,
            }
            .to_owned(),
            arch: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "x86" => "386",
                "aarch64" => "arm64",
                arch => arch,
            }
            .to_owned(),
        }
    }
}

/// The time since the machine was booted, time asleep included, and which boot that was.
#[derive(Clone, Debug)]
pub(super) struct BootClock {
    id: Option<String>,
    #[cfg(not(target_os = "linux"))]
    started: (std::time::Instant, u64),
}

impl BootClock {
    pub(super) fn new() -> BootClock {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        BootClock {
            id: id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
            #[cfg(not(target_os = "linux"))]
            started: (std::time::Instant::now(), System::uptime().unwrap_or(0)),
        }
    }

    /// Differs from boot to boot; `None` where the operating system does not tell.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Milliseconds since the boot.
    #[cfg(target_os = "linux")]
    #[expect(clippy::unused_self, reason = "the signature is that of the other systems")]
    #[allow(clippy::useless_conversion, reason = "it is 32 bits wide on 32-bit systems")]
    pub(super) fn uptime_ms(&self) -> i64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec * 1_000 + i64::from(time.tv_nsec) / 1_000_000
    }

    /// Milliseconds since the boot.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn uptime_ms(&self) -> i64 {
        let (instant, uptime_seconds) = self.started;
        let since_start = i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
        super::number::signed(uptime_seconds).saturating_mul(1_000).saturating_add(since_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_was_booted() {
        let host = Host::detect();
        assert!(!host.hostname.is_empty() && !host.os.is_empty() && !host.arch.is_empty());
        assert!(0 < BootClock::new().uptime_ms());
        assert!(!cfg!(target_os = "linux") || BootClock::new().id().is_some());
    }
}
