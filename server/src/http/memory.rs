//! Limits the bytes buffered from clients, in total and per address, so that nobody can exhaust the memory or block
//! others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::network::network;
use crate::telemetry::{Instruments, MemoryRefusal};

/// Bytes of each connection that do not count, since its buffers have this size anyway. A TLS handshake and a header
/// fit in, so that small requests always get a response, even if it is a refusal.
const FREE_BYTES: usize = 12 * 1024;
/// Bytes that an address may always use, so that others can log in even if the rest is used up.
const OWN_BYTES: usize = 16 * 1024;

/// The limit, in total or for this address, is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much is buffered of what clients send (server.{})", .0.as_str())]
pub struct OutOfMemory(pub MemoryRefusal);

/// The memory for data from clients.
#[derive(Debug)]
pub struct Memory {
    bytes_max: usize,
    bytes_per_address_max: usize,
    used: Mutex<Used>,
    instruments: Arc<Instruments>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Memory {
    /// Limits the bytes in total and per address.
    pub fn new(bytes_max: usize, bytes_per_address_max: usize, instruments: Arc<Instruments>) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes_per_address_max, used: Mutex::default(), instruments })
    }

    fn take(&self, buffers: &Buffers, bytes: usize) -> Result<(), OutOfMemory> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = used.by_address.get(&buffers.address).copied().unwrap_or(0) + bytes;
        let refusal = if !buffers.is_of_many && self.bytes_per_address_max < of_address {
            MemoryRefusal::FullForAddress
        } else if OWN_BYTES < of_address && self.bytes_max < used.total + bytes {
            MemoryRefusal::Full
        } else {
            used.total += bytes;
            used.by_address.insert(buffers.address, of_address);
            self.instruments.set_buffered_bytes(used.total);
            return Ok(());
        };
        drop(used);
        self.instruments.add_memory_refusal(refusal);
        let address = buffers.address;
        if let Some(count) = self.instruments.strangers().note(refusal.as_str(), &address.to_string()) {
            let limit = refusal.as_str();
            tracing::warn!(%address, count, limit, "refused to buffer more of what a client sends");
        }
        Err(OutOfMemory(refusal))
    }

    fn give_back(&self, address: IpAddr, bytes: usize) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.total = used.total.saturating_sub(bytes);
        if let Some(of_address) = used.by_address.get_mut(&address) {
            *of_address = of_address.saturating_sub(bytes);
            if *of_address == 0 {
                used.by_address.remove(&address);
            }
        }
        self.instruments.set_buffered_bytes(used.total);
    }
}

/// The buffered bytes of a connection.
#[derive(Debug)]
pub(super) struct Buffers {
    memory: Arc<Memory>,
    address: IpAddr,
    /// Whether the address is a proxy's.
    is_of_many: bool,
    bytes: Mutex<usize>,
}

impl Buffers {
    pub(super) fn new(memory: Arc<Memory>, peer: IpAddr, is_of_many: bool) -> Self {
        Self { memory, address: network(peer), is_of_many, bytes: Mutex::default() }
    }

    /// Adds buffered bytes if the limits allow it.
    pub(super) fn add(&self, more: usize) -> Result<(), OutOfMemory> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counted(*bytes + more) - counted(*bytes);
        if 0 < counted {
            self.memory.take(self, counted)?;
        }
        *bytes += more;
        Ok(())
    }

    /// Removes buffered bytes.
    pub(super) fn remove(&self, less: usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = bytes.saturating_sub(less);
        let counted = counted(*bytes) - counted(rest);
        *bytes = rest;
        if 0 < counted {
            self.memory.give_back(self.address, counted);
        }
    }
}

/// Returns how many of a connection's bytes count.
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1_024;

    fn memory() -> Arc<Memory> {
        Memory::new(100 * KIB, 40 * KIB, Arc::new(Instruments::new().unwrap()))
    }

    fn buffers(memory: &Arc<Memory>, address: &str) -> Buffers {
        Buffers::new(Arc::clone(memory), address.parse().unwrap(), false)
    }

    #[test]
    fn nobody_uses_up_what_others_need() {
        let memory = memory();
        let greedy: Vec<_> = (1..=3).map(|n| buffers(&memory, &format!("192.0.2.{n}"))).collect();
        for buffers in &greedy[..2] {
            buffers.add(FREE_BYTES + 40 * KIB).unwrap();
            assert_eq!(buffers.add(1), Err(OutOfMemory(MemoryRefusal::FullForAddress)));
        }
        greedy[2].add(FREE_BYTES + 20 * KIB).unwrap();
        assert_eq!(greedy[2].add(1), Err(OutOfMemory(MemoryRefusal::Full)));
        let modest = buffers(&memory, "198.51.100.1");
        modest.add(FREE_BYTES + OWN_BYTES).unwrap();
        assert_eq!(modest.add(1), Err(OutOfMemory(MemoryRefusal::Full)));
        greedy[0].remove(FREE_BYTES + 40 * KIB);
        modest.add(1).unwrap();
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let memory = memory();
        let (one, other) = (buffers(&memory, "2001:db8::1"), buffers(&memory, "2001:db8::2"));
        for bytes in [1, 5 * KIB, 10 * KIB, 20 * KIB] {
            one.add(bytes).unwrap();
        }
        assert_eq!(
            other.add(FREE_BYTES + 20 * KIB),
            Err(OutOfMemory(MemoryRefusal::FullForAddress)),
            "one /64"
        );
        for bytes in [20 * KIB, 10 * KIB, 5 * KIB, 1] {
            one.remove(bytes);
        }
        let used = memory.used.lock().unwrap();
        assert_eq!((used.total, used.by_address.len()), (0, 0));
    }

    #[test]
    fn behind_a_proxy_are_many() {
        let memory = memory();
        let proxied = Buffers::new(Arc::clone(&memory), "192.0.2.1".parse().unwrap(), true);
        proxied.add(FREE_BYTES + 100 * KIB).unwrap();
        assert_eq!(proxied.add(1), Err(OutOfMemory(MemoryRefusal::Full)));
    }
}
