//! Counters of network interfaces, from `/proc/net/dev`.

use std::collections::BTreeMap;

use crate::collect::network::delta::Counters;
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots};

/// The interfaces of the agent's own network namespace.
pub(in crate::collect) struct NetworkSource {
    file: ProcFile,
}

impl NetworkSource {
    pub(in crate::collect) fn new(roots: &Roots) -> NetworkSource {
        NetworkSource { file: ProcFile::new(roots.proc.join("net/dev")) }
    }

    pub(in crate::collect) fn read(&mut self) -> Result<BTreeMap<String, Counters>, CollectError> {
        Ok(parse(self.file.read()?))
    }
}

/// `name: rx_bytes rx_packets rx_errors … (8 columns) tx_bytes tx_packets tx_errors …`, after two lines of
/// headings.
fn parse(text: &str) -> BTreeMap<String, Counters> {
    let parse_line = |line: &str| {
        // An alias may contain a colon, the numbers never do.
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
