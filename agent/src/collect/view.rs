//! Whether the agent sees a whole machine.

/// What the agent sees. In a container the kernel shows numbers of the machine around it, too; those are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has containers"))]
pub(super) enum View {
    /// The machine itself, real or virtual.
    Host,
    /// A container of LXC, where lxcfs shows some files of `/proc` for the container alone.
    Lxc {
        /// Whether `/proc/diskstats` is one of them.
        has_own_diskstats: bool,
    },
    /// Another container.
    Container,
}

impl View {
    /// Returns whether devices, sensors and the like belong to what the agent reports.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux reads hardware"))]
    pub(super) fn shows_hardware(self) -> bool {
        self == View::Host
    }

    /// Returns whether the counters of block devices do.
    pub(super) fn shows_disk_io(self) -> bool {
        matches!(self, View::Host | View::Lxc { has_own_diskstats: true })
    }
}
