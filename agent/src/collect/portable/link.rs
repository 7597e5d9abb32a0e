//! Packets of network interfaces, from sysinfo; it does not tell their state.

use sysinfo::Networks;

use crate::collect::link::Interface;
use crate::collect::{CollectError, Roots};

/// The interfaces known to sysinfo.
pub(in crate::collect) struct LinkSource {
    networks: Option<Networks>,
}

impl LinkSource {
    pub(in crate::collect) fn new(_: &Roots) -> LinkSource {
        LinkSource { networks: Networks::new().ok() }
    }

    pub(in crate::collect) fn read(
        &mut self,
        is_selected: impl Fn(&str) -> bool,
    ) -> Result<Vec<Interface>, CollectError> {
        let networks = self.networks.as_mut().ok_or(CollectError::Unsupported)?;
        networks.refresh(true);
        let interface = |name: String, data: &sysinfo::NetworkData| {
            let packets = [data.total_packets_received(), data.total_packets_transmitted()].map(Some);
            let [received, sent] = packets;
            Interface { name, counters: [received, sent, None, None, None, None], ..Interface::default() }
        };
        let interfaces =
            networks.iter().map(|(name, data)| interface(name.to_string_lossy().into_owned(), data));
        Ok(interfaces.filter(|interface| is_selected(&interface.name)).collect())
    }
}

#[cfg(test)]
#[test]
fn interfaces_can_be_listed() {
    assert!(LinkSource::new(&Roots::default()).read(|_| true).is_ok());
}
