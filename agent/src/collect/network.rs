//! Network interfaces: the kernel's counters, and what was moved since the previous sample.

pub(crate) mod delta;

use std::collections::BTreeMap;

use pika_protocol::NetworkMetrics;
use pika_protocol::limits::PATH_CHARS_MAX;

use self::delta::Counters;
pub use self::delta::NetworkBaseline;
#[cfg(target_os = "linux")]
use self::linux as platform;
#[cfg(not(target_os = "linux"))]
use self::portable as platform;
use super::CollectError;
use crate::boot_clock::BootClock;
use crate::config::NetworkConfig;
use crate::glob;

/// Takes network metrics.
pub(super) struct Network {
    config: NetworkConfig,
    source: platform::Source,
    boot: BootClock,
    baseline: NetworkBaseline,
}

impl Network {
    /// `baseline` is the last reading of a previous run, if there is one.
    pub(super) fn new(config: NetworkConfig, boot: BootClock, baseline: Option<NetworkBaseline>) -> Network {
        let baseline = NetworkBaseline::resume(baseline, boot.id());
        Network { config, source: platform::Source::new(), boot, baseline }
    }

    /// One entry an interface, in the order of their names.
    pub(super) fn collect(&mut self) -> Result<Vec<NetworkMetrics>, CollectError> {
        let NetworkConfig { include_interfaces, exclude_interfaces } = &self.config;
        let mut counters = self.source.collect()?;
        counters.retain(|name, _| {
            name.chars().count() <= PATH_CHARS_MAX
                && glob::is_selected(name, include_interfaces, exclude_interfaces)
        });
        Ok(self.baseline.advance(self.boot.uptime_ms(), &counters))
    }

    /// What the next run has to compare with.
    pub(super) fn baseline(&self) -> &NetworkBaseline {
        &self.baseline
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use super::*;
    use crate::collect::ProcFile;

    /// The interfaces of the agent's own network namespace.
    pub(super) struct Source {
        file: ProcFile,
    }

    impl Source {
        pub(super) fn new() -> Source {
            Source { file: ProcFile::new(PathBuf::from("/proc/net/dev")) }
        }

        pub(super) fn collect(&mut self) -> Result<BTreeMap<String, Counters>, CollectError> {
            Ok(parse(self.file.read()?))
        }
    }

    /// `name: rx_bytes rx_packets rx_errors … (8 columns) tx_bytes tx_packets tx_errors …`, after two lines of
    /// headings.
    fn parse(text: &str) -> BTreeMap<String, Counters> {
        let parse_line = |line: &str| {
            // An alias may hold a colon itself, the numbers never do.
            let (name, numbers) = line.rsplit_once(':')?;
            let numbers: Vec<u64> =
                numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
            let counters = Counters {
                received_bytes: *numbers.first()?,
                sent_bytes: *numbers.get(8)?,
                receive_errors: *numbers.get(2)?,
                send_errors: *numbers.get(10)?,
            };
            Some((name.trim().to_owned(), counters))
        };
        text.lines().filter_map(parse_line).collect()
    }

    #[cfg(test)]
    #[test]
    fn the_kernels_table_is_read() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  eth0: 112305689    7444    3    0    0     0          0         0   653855    5081    4    0    0     0       0          0
eth0:1:18446744073709551615 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0
 short: 1 2 3
";
        let found = parse(text);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eth0", "eth0:1", "lo"]);
        assert_eq!(
            found["eth0"],
            Counters { received_bytes: 112_305_689, sent_bytes: 653_855, receive_errors: 3, send_errors: 4 }
        );
        assert_eq!(found["eth0:1"].received_bytes, u64::MAX);
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use sysinfo::Networks;

    use super::*;

    /// The interfaces as sysinfo finds them.
    pub(super) struct Source {
        networks: Option<Networks>,
    }

    impl Source {
        pub(super) fn new() -> Source {
            Source { networks: Networks::new().ok() }
        }

        pub(super) fn collect(&mut self) -> Result<BTreeMap<String, Counters>, CollectError> {
            let networks = self.networks.as_mut().ok_or(CollectError::Unsupported)?;
            networks.refresh(true);
            let counters = |data: &sysinfo::NetworkData| Counters {
                received_bytes: data.total_received(),
                sent_bytes: data.total_transmitted(),
                receive_errors: data.total_errors_on_received(),
                send_errors: data.total_errors_on_transmitted(),
            };
            Ok(networks
                .iter()
                .map(|(name, data)| (name.to_string_lossy().into_owned(), counters(data)))
                .collect())
        }
    }

    #[cfg(test)]
    #[test]
    fn interfaces_can_be_listed() {
        assert!(Source::new().collect().is_ok());
    }
}
