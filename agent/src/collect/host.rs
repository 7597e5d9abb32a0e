//! Host name, operating system and architecture.

use pika_protocol::limits::NAME_CHARS_MAX;
use sysinfo::System;

/// The machine's properties, sent when the agent registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Host name; `unknown` if there is none.
    pub hostname: String,
    /// Operating system as the original Pika names it, for example `linux` or `darwin`.
    pub os: String,
    /// Processor architecture as the original Pika names it, for example `amd64`.
    pub arch: String,
}

impl Host {
    /// Queries the operating system.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        let host = Host::detect();
        assert!(!host.hostname.is_empty() && !host.os.is_empty() && !host.arch.is_empty());
    }
}
