//! What a machine is, in answers.

use pika_protocol::MachineFacts;
use poem_openapi::Object;
use serde::Serialize;

/// What a machine is, as its agent reported when it connected. What it cannot tell is absent.
#[derive(Clone, Debug, Default, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "MachineFacts", rename_all = "camelCase")]
pub(super) struct MachineFactsBody {
    /// Name and version of the operating system, for example `Debian GNU/Linux 13`.
    os_name: Option<String>,
    /// Version of the kernel.
    kernel: Option<String>,
    /// What the processor calls itself.
    cpu_model: Option<String>,
    /// Logical processors of the machine.
    cpu_count: Option<i32>,
    /// Memory of the machine, in bytes.
    memory_bytes: Option<i64>,
    /// When it was booted, in milliseconds since the Unix epoch.
    booted_at: Option<i64>,
    /// What it runs in, for example `kvm` or `docker`; absent where that is real hardware, or not known.
    virtualization: Option<String>,
}

impl From<MachineFacts> for MachineFactsBody {
    fn from(facts: MachineFacts) -> Self {
        let MachineFacts { os_name, kernel, cpu_model, cpu_count, memory_bytes, booted_at, virtualization } =
            facts;
        Self {
            os_name,
            kernel,
            cpu_model,
            cpu_count: cpu_count.and_then(|count| i32::try_from(count).ok()),
            memory_bytes: memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            booted_at,
            virtualization,
        }
    }
}
