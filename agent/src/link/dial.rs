//! Connects to one of a name's addresses. They are tried concurrently, each a little later than the one before ("happy
//! eyeballs", RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Delay before the next address is tried concurrently.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the address that answers first; earlier addresses have a head start.
///
/// # Errors
/// If all of them refuse. An address that never answers is waited for.
pub(super) async fn dial(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = alternate(addresses);
    let mut attempts = FuturesUnordered::new();
    let mut refusal = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.pop_front() {
            Some(address) => attempts.push(attempt(address)),
            None if attempts.is_empty() => return Err(refusal),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => refusal = error,
            },
            () = sleep(ATTEMPT_DELAY), if !waiting.is_empty() => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// Alternates between address families, since usually a whole family is broken, and otherwise keeps the order.
fn alternate(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let begins_with_ipv6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.partition(|address| address.is_ipv6() == begins_with_ipv6);
    let mut second = second.into_iter();
    let mut alternating = VecDeque::new();
    for address in first {
        alternating.push_back(address);
        alternating.extend(second.next());
    }
    alternating.extend(second);
    alternating
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    /// An address that neither accepts nor refuses connections: the queue of its listener is full.
    struct BlackHole {
        address: SocketAddr,
        _listener: TcpListener,
        _queued: Vec<TcpStream>,
    }

    impl BlackHole {
        async fn new(ip: IpAddr) -> BlackHole {
            let socket = if ip.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
            socket.bind((ip, 0).into()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let mut queued = Vec::new();
            while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
                queued.push(connected.unwrap());
                assert!(queued.len() < 100, "this system lets everybody in");
            }
            BlackHole { address, _listener: listener, _queued: queued }
        }
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn addresses_that_do_not_answer_cost_little() {
        let (_listener, address) = listen().await;
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        let ip = if has_ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
        let holes = [BlackHole::new(ip).await, BlackHole::new(ip).await, BlackHole::new(ip).await];
        let started = Instant::now();
        let addresses = holes.iter().map(|hole| hole.address).chain([address]);
        let stream = timeout(Duration::from_secs(8), dial(addresses)).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(ATTEMPT_DELAY <= started.elapsed(), "the first has an advantage");
    }

    #[tokio::test]
    async fn one_that_refuses_is_not_waited_for() {
        let (listener, refusing) = listen().await;
        drop(listener);
        let (_listener, address) = listen().await;
        let stream = dial([refusing, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = dial([refusing]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&refusing.to_string()), "{error}");
        assert_eq!(dial([]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_families_alternate() {
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        let [x, y, z] = [1, 2, 3].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(alternate([a, b, c, x]), [a, x, b, c]);
        assert_eq!(alternate([x, a, b, y, c, z]), [x, a, y, b, z, c]);
        assert_eq!(alternate([x, y]), [x, y]);
        assert_eq!(alternate([]), []);
    }
}
