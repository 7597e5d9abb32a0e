//! Places for connections: so many in all, and so many for one address, so that nobody can take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::telemetry::{ConnectionRefusal, Counters};

/// Bits of an IPv6 address that tell one customer of a provider from another.
const IPV6_PREFIX_BITS: u32 = 64;

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    connections_max: usize,
    connections_per_address_max: usize,
    taken: Mutex<Taken>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(
        connections_max: usize,
        connections_per_address_max: usize,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        Arc::new(Self { connections_max, connections_per_address_max, taken: Mutex::default(), counters })
    }

    /// A place for a connection from this address, or which limit it met. A refusal is counted, and logged if it is the
    /// 1st, 2nd, 4th, 8th … for its reason.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, ConnectionRefusal> {
        let address = customer(peer);
        let refusal = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
            if self.connections_max <= taken.total {
                ConnectionRefusal::Full
            } else if self.connections_per_address_max <= of_address {
                ConnectionRefusal::FullForAddress
            } else {
                taken.total += 1;
                taken.by_address.insert(address, of_address + 1);
                self.counters.begin_connection();
                return Ok(Place { address, places: Arc::clone(self) });
            }
        };
        let count = self.counters.add_refused_connection(refusal);
        if count.is_power_of_two() {
            let limit = match refusal {
                ConnectionRefusal::FullForAddress => "server.connections_per_address_max",
                ConnectionRefusal::Full | ConnectionRefusal::AcceptError => "server.connections_max",
            };
            tracing::warn!(%address, count, limit, "refused a connection: its limit is reached");
        }
        Err(refusal)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        self.places.counters.end_connection();
    }
}

/// The address that limits go by: one customer has a whole /64 of IPv6.
fn customer(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize, connections_per_address_max: usize) -> Arc<Places> {
        Places::new(connections_max, connections_per_address_max, Arc::new(Counters::new().unwrap()))
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = places(10, 2);
        let [first, second, mapped]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"].map(|address| address.parse().unwrap());
        let held: Vec<_> = (0..2).map(|_| places.take(first).unwrap()).collect();
        assert_eq!(places.take(first).unwrap_err(), ConnectionRefusal::FullForAddress);
        assert_eq!(places.take(mapped).unwrap_err(), ConnectionRefusal::FullForAddress, "the same address");
        assert!(places.take(second).is_ok());
        drop(held);
        assert!(places.take(first).is_ok());
        assert!(places.taken.lock().unwrap().by_address.is_empty(), "nothing is left behind");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let places = places(10, 1);
        let [first, neighbour, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|address| address.parse().unwrap());
        let _held = places.take(first).unwrap();
        assert!(places.take(neighbour).is_err());
        assert!(places.take(other).is_ok());
    }

    #[test]
    fn all_places_together_are_bounded() {
        let places = places(1, 5);
        let held = places.take("192.0.2.1".parse().unwrap()).unwrap();
        let other = "192.0.2.2".parse().unwrap();
        assert_eq!(places.take(other).unwrap_err(), ConnectionRefusal::Full);
        drop(held);
        assert!(places.take(other).is_ok());
    }
}
