//! The client of a request, considering trusted proxies.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use poem::http::HeaderMap;
use poem::{Endpoint, Middleware, Request, Result};

/// Headers with addresses and protocols added by proxies; the nearest proxy's entry is the last.
const FORWARDED_FOR: &str = "X-Forwarded-For";
const FORWARDED_PROTO: &str = "X-Forwarded-Proto";

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// Its address, if it has one.
    pub(super) address: Option<IpAddr>,
    /// Whether it uses TLS, to the server itself or to a trusted proxy.
    pub(super) is_secure: bool,
}

/// Middleware that adds the client to requests.
#[derive(Clone, Debug)]
pub struct FindClient {
    trusted_proxies: Vec<IpNet>,
}

impl FindClient {
    /// Trusts the proxies in these networks.
    pub fn new(trusted_proxies: Vec<IpNet>) -> Self {
        Self { trusted_proxies }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Reads entries from the nearest proxy on, up to the first address that is not a trusted proxy, which is the
    /// client. The client may have forged everything before that.
    fn client(&self, peer: Option<IpAddr>, is_tls: bool, headers: &HeaderMap) -> Client {
        let peer = peer.map(|peer| peer.to_canonical());
        let Some(mut address) = peer.filter(|peer| self.is_trusted(*peer)) else {
            return Client { address: peer, is_secure: is_tls };
        };
        for hop in values(headers, FORWARDED_FOR).rev() {
            let Some(hop) = parse_address(hop) else {
                break;
            };
            address = hop;
            if !self.is_trusted(address) {
                break;
            }
        }
        let proto = values(headers, FORWARDED_PROTO).next_back();
        let is_secure = is_tls || proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        Client { address: Some(address), is_secure }
    }
}

/// Returns the comma-separated values of all headers of this name, in order.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    // Values that are not text become empty, which is not an address: otherwise the value before them would count.
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Parses an address, with or without a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

/// Returns the client of a request.
pub(super) fn client(request: &Request) -> Client {
    request.data::<Client>().copied().unwrap_or(Client { address: None, is_secure: false })
}

/// Returns the address of the request's client, considering trusted proxies; empty if there is none.
pub fn peer_address(request: &Request) -> String {
    client(request).address.map(|address| address.to_string()).unwrap_or_default()
}

/// Returns whether the client uses TLS, to the server itself or to a trusted proxy.
pub fn is_secure(request: &Request) -> bool {
    client(request).is_secure
}

impl<E: Endpoint> Middleware<E> for FindClient {
    type Output = ClientFound<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        ClientFound { endpoint, find: self.clone() }
    }
}

/// An endpoint whose requests carry their client.
pub struct ClientFound<E> {
    endpoint: E,
    find: FindClient,
}

impl<E: Endpoint> Endpoint for ClientFound<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        let peer = request.remote_addr().as_socket_addr().map(|address| address.ip());
        let is_tls = request.scheme().as_str() == "https";
        let client = self.find.client(peer, is_tls, request.headers());
        request.set_data(client);
        self.endpoint.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use poem::http::{HeaderName, HeaderValue};

    use super::*;

    /// The address and whether it is secure, of a request that came from `peer` with these headers; 10.0.0.0/8 and one
    /// address of IPv6 are trusted.
    fn client(peer: &str, headers: &[(&str, &str)]) -> (String, bool) {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8", "2001:db8::1/128"].map(|network| network.parse().unwrap());
        let client = FindClient::new(trusted.to_vec()).client(Some(peer.ip()), false, &map);
        (client.address.unwrap().to_string(), client.is_secure)
    }

    #[test]
    fn forged_headers_of_a_stranger_are_ignored() {
        let headers = [("X-Forwarded-For", "10.0.0.1, 192.0.2.1"), ("X-Forwarded-Proto", "https")];
        assert_eq!(client("203.0.113.5:9", &headers), ("203.0.113.5".to_owned(), false));
    }

    #[test]
    fn the_rightmost_address_that_is_not_a_proxy_is_the_client() {
        let of = |value| client("10.0.0.1:9", &[("X-Forwarded-For", value)]).0;
        assert_eq!(of("203.0.113.5"), "203.0.113.5");
        assert_eq!(of("192.0.2.66, 203.0.113.5"), "203.0.113.5", "the first may be made up");
        assert_eq!(of("203.0.113.5, 10.1.1.1 , 10.2.2.2"), "203.0.113.5");
        assert_eq!(of("203.0.113.5:4711, [2001:db8::1]:80"), "203.0.113.5");
        assert_eq!(of("::ffff:203.0.113.5"), "203.0.113.5");
        assert_eq!(of("10.3.3.3"), "10.3.3.3", "a proxy that asks on its own behalf");
        assert_eq!(of("192.0.2.66, unknown, 10.2.2.2"), "10.2.2.2", "nobody vouches for what is before");
        assert_eq!(of(""), "10.0.0.1");
        let two = [("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-For", "203.0.113.5")];
        assert_eq!(client("10.0.0.1:9", &two).0, "203.0.113.5", "headers add up");
        assert_eq!(client("[::ffff:10.0.0.1]:9", &two).0, "203.0.113.5");
    }

    #[test]
    fn the_nearest_proxy_says_whether_the_client_speaks_tls() {
        let of = |value| client("10.0.0.1:9", &[("X-Forwarded-Proto", value)]).1;
        assert!(of("https") && of("HTTPS") && of("http, https"));
        assert!(!of("http") && !of("https, http") && !of(""));
    }
}
