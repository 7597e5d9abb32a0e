//! Counters of network interfaces, from sysinfo.

use std::collections::BTreeMap;

use sysinfo::Networks;

use crate::collect::network::delta::Counters;
use crate::collect::{CollectError, Roots};

/// The interfaces known to sysinfo.
pub(in crate::collect) struct NetworkSource {
    networks: Option<Networks>,
}

impl NetworkSource {
    pub(in crate::collect) fn new(_: &Roots) -> NetworkSource {
        NetworkSource { networks: Networks::new().ok() }
    }

    pub(in crate::collect) fn read(&mut self) -> Result<BTreeMap<String, Counters>, CollectError> {
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
    assert!(NetworkSource::new(&Roots::default()).read().is_ok());
}
