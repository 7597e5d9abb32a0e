//! Limits the number of connections, in total and per address, so that nobody can take them all.
//!
//! Registered agents and live streams keep their connections. All others are "strangers": when there are too many, the
//! oldest one of the address with the most strangers is displaced. So a new client is served however many addresses
//! hold idle connections.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::network::network;
use crate::telemetry::{ConnectionEnd, ConnectionRefusal, Instruments};

/// `Retry-After` for rejected clients.
const RETRY_AFTER_SECONDS: u64 = 10;
/// A stranger is not displaced before this time, which it needs to be answered or to register, unless its address has
/// more connections than that of the newcomer.
const STRANGER_TIME_MIN: Duration = Duration::from_secs(1);

/// The connections of a server, and their limits.
#[derive(Debug)]
pub struct ConnectionLimiter {
    connections_max: usize,
    connections_per_address_max: usize,
    /// Proxies, whose connections belong to many clients.
    proxies: Vec<IpNet>,
    state: Mutex<State>,
    instruments: Arc<Instruments>,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    n_given: u64,
    by_address: HashMap<IpAddr, AddressConnections>,
    /// The addresses with strangers; the last one loses a connection first.
    ranking: BTreeSet<StrangerRank>,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct AddressConnections {
    n_connections: usize,
    /// By slot number; the first is the oldest.
    strangers: BTreeMap<u64, Stranger>,
}

/// A connection that may be displaced.
#[derive(Debug)]
struct Stranger {
    since: Instant,
    displaced: CancellationToken,
}

/// The number of strangers of an address, and the oldest of them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StrangerRank {
    strangers: usize,
    first: Reverse<u64>,
    address: IpAddr,
}

impl AddressConnections {
    fn rank(&self, address: IpAddr) -> Option<StrangerRank> {
        let (first, _) = self.strangers.first_key_value()?;
        Some(StrangerRank { strangers: self.strangers.len(), first: Reverse(*first), address })
    }
}

impl State {
    /// Changes the connections of an address.
    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut AddressConnections)) {
        let connections = self.by_address.entry(address).or_default();
        if let Some(rank) = connections.rank(address) {
            self.ranking.remove(&rank);
        }
        change(connections);
        if let Some(rank) = connections.rank(address) {
            self.ranking.insert(rank);
        }
        if connections.n_connections == 0 {
            self.by_address.remove(&address);
        }
    }

    /// Displaces a stranger for a connection from `newcomer`. Returns its address; `None` if none can be displaced.
    fn displace(&mut self, newcomer: IpAddr, now: Instant) -> Option<IpAddr> {
        let &StrangerRank { strangers, first: Reverse(first), address } = self.ranking.last()?;
        let of_newcomer = self.by_address.get(&newcomer).map_or(0, |connections| connections.strangers.len());
        let since = self.by_address.get(&address)?.strangers.get(&first)?.since;
        if strangers <= of_newcomer + 1 && now.duration_since(since) < STRANGER_TIME_MIN {
            return None;
        }
        self.change(address, |connections| {
            if let Some(stranger) = connections.strangers.remove(&first) {
                stranger.displaced.cancel();
            }
        });
        Some(address)
    }

    /// Adds a stranger from this address. A displaced one still counts until its connection is closed, which is soon.
    fn add(&mut self, address: IpAddr, now: Instant) -> (u64, CancellationToken) {
        self.total += 1;
        self.n_given += 1;
        let number = self.n_given;
        let displaced = CancellationToken::new();
        let stranger = Stranger { since: now, displaced: displaced.clone() };
        self.change(address, |connections| {
            connections.n_connections += 1;
            connections.strangers.insert(number, stranger);
        });
        (number, displaced)
    }
}

impl ConnectionLimiter {
    /// Limits connections in total and per address, except for `proxies`, which have many clients.
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
            state: Mutex::default(),
            instruments,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and logs a failed accept.
    pub(super) fn count_accept_error(&self, error: &io::Error) {
        let refusal = ConnectionRefusal::AcceptError;
        self.instruments.add_refused_connection(refusal);
        if let Some(count) = self.instruments.strangers().note(refusal.as_str(), "") {
            tracing::warn!(%error, count, "a connection could not be accepted");
        }
    }

    /// Admits a connection from this address as a stranger, or returns the limit that it exceeds. Refusals are counted
    /// and logged.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionPermit, ConnectionRefusal> {
        self.take_at(peer, Instant::now())
    }

    fn take_at(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<ConnectionPermit, ConnectionRefusal> {
        let address = network(peer);
        let (result, displaced) = {
            let mut state = self.state();
            let of_address =
                state.by_address.get(&address).map_or(0, |connections| connections.n_connections);
            let is_full = self.connections_max <= state.total;
            if self.connections_per_address_max <= of_address && !self.is_proxy(peer) {
                (Err(ConnectionRefusal::FullForAddress), None)
            } else if is_full {
                match state.displace(address, now) {
                    Some(victim) => (Ok(state.add(address, now)), Some(victim)),
                    None => (Err(ConnectionRefusal::Full), None),
                }
            } else {
                (Ok(state.add(address, now)), None)
            }
        };
        if let Some(victim) = displaced {
            self.note_displaced(victim);
        }
        match result {
            Ok((number, displaced)) => {
                self.instruments.begin_connection();
                Ok(ConnectionPermit(ConnectionSlot { address, number, displaced, limiter: Arc::clone(self) }))
            }
            Err(refusal) => {
                self.note_refusal(address, refusal);
                Err(refusal)
            }
        }
    }

    fn note_displaced(&self, address: IpAddr) {
        let end = ConnectionEnd::Displaced;
        self.instruments.add_ended_connection(end);
        if let Some(count) = self.instruments.strangers().note(end.as_str(), &address.to_string()) {
            tracing::warn!(%address, count, "closed a connection in favour of another: server.connections_max is reached");
        }
    }

    fn note_refusal(&self, address: IpAddr, refusal: ConnectionRefusal) {
        self.instruments.add_refused_connection(refusal);
        if let Some(count) = self.instruments.strangers().note(refusal.as_str(), &address.to_string()) {
            tracing::warn!(%address, count, "refused a connection: server.{} is reached", refusal.as_str());
        }
    }

    /// Returns whether an address is a proxy.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.iter().any(|network| network.contains(&peer))
    }
}

/// Permission for a connection, returned when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit(ConnectionSlot);

impl ConnectionPermit {
    pub(super) fn slot(&self) -> ConnectionSlot {
        self.0.clone()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let ConnectionSlot { address, number, limiter, .. } = &self.0;
        let mut state = limiter.state();
        state.total = state.total.saturating_sub(1);
        state.change(*address, |connections| {
            connections.n_connections = connections.n_connections.saturating_sub(1);
            connections.strangers.remove(number);
        });
        drop(state);
        limiter.instruments.end_connection();
    }
}

/// A connection's entry in the limiter.
#[derive(Clone, Debug)]
pub(super) struct ConnectionSlot {
    address: IpAddr,
    number: u64,
    displaced: CancellationToken,
    limiter: Arc<ConnectionLimiter>,
}

impl ConnectionSlot {
    /// Marks the connection as not a stranger, so that it is never displaced.
    pub(super) fn keep(&self) {
        let mut state = self.limiter.state();
        if state.by_address.contains_key(&self.address) {
            state.change(self.address, |connections| drop(connections.strangers.remove(&self.number)));
        }
    }

    /// Returns a token that is cancelled when the connection is displaced by another.
    pub(super) fn displaced(&self) -> &CancellationToken {
        &self.displaced
    }
}

/// Sends the reason, if possible without blocking, before the connection is dropped.
pub(super) fn reject(stream: &TcpStream, refusal: ConnectionRefusal) {
    let (status, code) = match refusal {
        ConnectionRefusal::FullForAddress => ("429 Too Many Requests", "too_many_requests"),
        ConnectionRefusal::Full | ConnectionRefusal::AcceptError => {
            ("503 Service Unavailable", "unavailable")
        }
    };
    let limit = refusal.as_str();
    let body = format!(
        "{{\"code\":\"{code}\",\"message\":\"too many connections (server.{limit})\",\"requestId\":\"\"}}"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: \
         {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::trace!(%error, "cannot send the reason to a rejected connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections_max: usize, connections_per_address_max: usize) -> Arc<ConnectionLimiter> {
        let proxies = vec!["198.51.100.0/24".parse().unwrap()];
        ConnectionLimiter::new(
            connections_max,
            connections_per_address_max,
            proxies,
            Arc::new(Instruments::new().unwrap()),
        )
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn is_displaced(permit: &ConnectionPermit) -> bool {
        permit.0.displaced.is_cancelled()
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let limiter = limiter(10, 2);
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let held: Vec<_> = (0..2).map(|_| limiter.take(address(1)).unwrap()).collect();
        assert_eq!(limiter.take(address(1)).unwrap_err(), ConnectionRefusal::FullForAddress);
        assert_eq!(limiter.take(mapped).unwrap_err(), ConnectionRefusal::FullForAddress, "the same address");
        assert!(limiter.take(address(2)).is_ok());
        drop(held);
        assert!(limiter.take(address(1)).is_ok());
        let state = limiter.state();
        assert!(state.by_address.is_empty() && state.ranking.is_empty(), "nothing is left behind: {state:?}");
    }

    #[test]
    fn behind_a_proxy_are_many() {
        let limiter = limiter(3, 1);
        let proxy = "198.51.100.7".parse().unwrap();
        let _held: Vec<_> = (0..3).map(|_| limiter.take(proxy).unwrap()).collect();
        assert_eq!(limiter.take(proxy).unwrap_err(), ConnectionRefusal::Full);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limiter = limiter(10, 1);
        let [first, neighbour, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|address| address.parse().unwrap());
        let _held = limiter.take(first).unwrap();
        assert!(limiter.take(neighbour).is_err());
        assert!(limiter.take(other).is_ok());
    }

    #[test]
    fn all_connections_together_are_bounded() {
        let limiter = limiter(1, 5);
        let held = limiter.take(address(1)).unwrap();
        held.slot().keep();
        assert_eq!(limiter.take(address(2)).unwrap_err(), ConnectionRefusal::Full);
        drop(held);
        assert!(limiter.take(address(2)).is_ok());
    }

    #[test]
    fn the_address_with_the_most_strangers_gives_way_and_the_oldest_of_them_first() {
        let limiter = limiter(5, 5);
        let few: Vec<_> = (0..2).map(|_| limiter.take(address(1)).unwrap()).collect();
        let many: Vec<_> = (0..3).map(|_| limiter.take(address(2)).unwrap()).collect();
        let newcomer = limiter.take(address(3)).unwrap();
        assert!(is_displaced(&many[0]) && !is_displaced(&many[1]));
        assert!(!few.iter().any(is_displaced) && !is_displaced(&newcomer));
    }

    #[test]
    fn who_is_no_stranger_does_not_give_way() {
        let limiter = limiter(3, 5);
        let many: Vec<_> = (0..3).map(|_| limiter.take(address(2)).unwrap()).collect();
        many[0].slot().keep();
        let newcomer = limiter.take(address(3)).unwrap();
        assert!(!is_displaced(&many[0]) && is_displaced(&many[1]) && !is_displaced(&newcomer));
    }

    #[test]
    fn among_equals_a_stranger_gives_way_when_it_has_had_its_time() {
        let limiter = limiter(2, 5);
        let now = Instant::now();
        let held: Vec<_> = (1..=2).map(|n| limiter.take_at(address(n), now).unwrap()).collect();
        assert_eq!(limiter.take_at(address(3), now).unwrap_err(), ConnectionRefusal::Full);
        let newcomer = limiter.take_at(address(3), now + STRANGER_TIME_MIN).unwrap();
        assert!(is_displaced(&held[0]) && !is_displaced(&held[1]) && !is_displaced(&newcomer));
    }
}
