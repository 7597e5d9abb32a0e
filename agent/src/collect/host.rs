//! Host name, operating system, hardware.

#[cfg(target_os = "linux")]
use std::path::Path;

use pika_protocol::MachineFacts;
use pika_protocol::limits::{CORE_COUNT_MAX, NAME_CHARS_MAX};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

#[cfg(target_os = "linux")]
use super::linux::virtualization;

/// The machine's properties, sent when the agent registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Host name; `unknown` if there is none.
    pub hostname: String,
    /// Operating system as the original Pika names it, for example `linux` or `darwin`.
    pub os: String,
    /// Processor architecture as the original Pika names it, for example `amd64`.
    pub arch: String,
    /// The rest, as far as the system tells.
    pub facts: MachineFacts,
}

impl Host {
    /// Queries the operating system.
    pub fn detect() -> Host {
        Host {
            hostname: text(System::host_name()).unwrap_or_else(|| "unknown".to_owned()),
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
            facts: facts(),
        }
    }
}

fn facts() -> MachineFacts {
    let wanted = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted).ok();
    let processors = system.as_ref().map_or(&[] as &[_], System::cpus);
    let cpu_count = u32::try_from(processors.len()).ok();
    let os_name = text(System::name()).map(|name| match text(System::os_version()) {
        Some(version) => format!("{name} {version}"),
        None => name,
    });
    MachineFacts {
        os_name: text(os_name),
        kernel: text(System::kernel_version()),
        cpu_model: text(processors.first().map(|cpu| cpu.brand().to_owned())),
        cpu_count: cpu_count.filter(|count| (1..=CORE_COUNT_MAX.unsigned_abs()).contains(count)),
        memory_bytes: system.as_ref().map(System::total_memory).filter(|bytes| 0 < *bytes),
        booted_at: System::boot_time()
            .ok()
            .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000))
            .filter(|at| 0 < *at),
        #[cfg(target_os = "linux")]
        virtualization: virtualization(Path::new("/")).map(str::to_owned),
        #[cfg(not(target_os = "linux"))]
        virtualization: None,
    }
}

/// A text that the server takes; `None` where there is nothing in it.
fn text(found: impl IntoIterator<Item = String>) -> Option<String> {
    let found = found.into_iter().next()?;
    let text: String = found.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        let host = Host::detect();
        assert!(!host.hostname.is_empty() && !host.os.is_empty() && !host.arch.is_empty());
        let facts = host.facts;
        assert!(
            facts.cpu_count.is_some() && facts.memory_bytes.is_some() && facts.kernel.is_some(),
            "{facts:?}"
        );
    }

    #[test]
    fn texts_are_what_the_server_takes() {
        assert_eq!(text(Some(" \n".to_owned())), None);
        assert_eq!(text(Some(" a\u{7}b ".to_owned())), Some("ab".to_owned()));
        assert_eq!(text(Some("x".repeat(NAME_CHARS_MAX + 1))).map(|text| text.len()), Some(NAME_CHARS_MAX));
    }
}
