//! Places for connections: so many in all, and so many for one address, so that nobody can take them all.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tokio::net::TcpStream;

use crate::domain::network::network;
use crate::telemetry::{ConnectionRefusal, Instruments};

/// When a client that found no place should try again.
const RETRY_AFTER_SECONDS: u64 = 10;

/// The places of a server.
#[derive(Debug)]
pub struct Places {
    connections_max: usize,
    connections_per_address_max: usize,
    /// Whose connections are those of many.
    proxies: Vec<IpNet>,
    taken: Mutex<Taken>,
    instruments: Arc<Instruments>,
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
    /// So many places in all, and so many for one address, `proxies` excepted: behind those are many.
    pub fn new(
        connections_max: usize,
        connections_per_address_max: usize,
        proxies: Vec<IpNet>,
        instruments: Arc<Instruments>,
    ) -> Arc<Self> {
        Arc::new(Self {
            connections_max,
            connections_per_address_max,
            proxies,
            taken: Mutex::default(),
            instruments,
        })
    }

    /// The system would not hand over a connection.
    pub(super) fn count_accept_error(&self, error: &io::Error) {
        let refusal = ConnectionRefusal::AcceptError;
        self.instruments.add_refused_connection(refusal);
        if let Some(count) = self.instruments.strangers().note(refusal.as_str(), "") {
            tracing::warn!(%error, count, "a connection could not be accepted");
        }
    }

    /// A place for a connection from this address, or which limit it met. A refusal is counted and logged.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, ConnectionRefusal> {
        let address = network(peer);
        let refusal = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
            if self.connections_max <= taken.total {
                ConnectionRefusal::Full
            } else if self.connections_per_address_max <= of_address && !self.is_proxy(peer) {
                ConnectionRefusal::FullForAddress
            } else {
                taken.total += 1;
                taken.by_address.insert(address, of_address + 1);
                self.instruments.begin_connection();
                return Ok(Place { address, places: Arc::clone(self) });
            }
        };
        self.instruments.add_refused_connection(refusal);
        if let Some(count) = self.instruments.strangers().note(refusal.as_str(), &address.to_string()) {
            let limit = match refusal {
                ConnectionRefusal::FullForAddress => "server.connections_per_address_max",
                ConnectionRefusal::Full | ConnectionRefusal::AcceptError => "server.connections_max",
            };
            tracing::warn!(%address, count, limit, "refused a connection: its limit is reached");
        }
        Err(refusal)
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.iter().any(|network| network.contains(&peer))
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
        self.places.instruments.end_connection();
    }
}

/// Says why, as far as that can be done without waiting, before the connection is dropped.
pub(super) fn turn_away(stream: &TcpStream, refusal: ConnectionRefusal) {
    let (status, code, limit) = match refusal {
        ConnectionRefusal::FullForAddress => {
            ("429 Too Many Requests", "too_many_requests", "server.connections_per_address_max")
        }
        ConnectionRefusal::Full | ConnectionRefusal::AcceptError => {
            ("503 Service Unavailable", "unavailable", "server.connections_max")
        }
    };
    let body =
        format!("{{\"code\":\"{code}\",\"message\":\"too many connections ({limit})\",\"requestId\":\"\"}}");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: \
         {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::trace!(%error, "a connection that was turned away could not be told why");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize, connections_per_address_max: usize) -> Arc<Places> {
        let proxies = vec!["198.51.100.0/24".parse().unwrap()];
        Places::new(
            connections_max,
            connections_per_address_max,
            proxies,
            Arc::new(Instruments::new().unwrap()),
        )
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
    fn behind_a_proxy_are_many() {
        let places = places(3, 1);
        let proxy = "198.51.100.7".parse().unwrap();
        let _held: Vec<_> = (0..3).map(|_| places.take(proxy).unwrap()).collect();
        assert_eq!(places.take(proxy).unwrap_err(), ConnectionRefusal::Full);
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
