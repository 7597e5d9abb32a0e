//! The address of the server's WebSocket, parsed from user input.

use std::fmt;
use std::net::IpAddr;

use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::InvalidUri;

/// The path of the WebSocket on every server.
const PATH: &str = "/ws/agent";

/// A server's WebSocket address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether to use TLS.
    pub is_tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path of the WebSocket, any prefix included.
    pub path: String,
}

/// Why a text is not a valid server address.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EndpointError {
    #[error("not a URL")]
    Syntax(#[source] InvalidUri),
    #[error("it must begin with http://, https://, ws:// or wss://")]
    Scheme,
    #[error("it names no host")]
    Host,
    #[error("it must not contain a user or password: secrets do not belong in a URL")]
    Credentials,
    #[error("it must end with the path")]
    Query,
}

impl Endpoint {
    /// Parses `http://host:18888`, `https://host/prefix` and the like; `ws` and `wss` mean the same.
    ///
    /// # Errors
    /// If the text is not such a URL, or contains a user, a password or a query.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        if text.contains('#') {
            return Err(EndpointError::Query);
        }
        let uri: Uri = text.trim().parse().map_err(EndpointError::Syntax)?;
        let is_tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(EndpointError::Scheme),
        };
        let authority = uri.authority().ok_or(EndpointError::Host)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::Credentials);
        }
        if uri.query().is_some() {
            return Err(EndpointError::Query);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EndpointError::Host);
        }
        let prefix = uri.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix(PATH).unwrap_or(prefix);
        Ok(Endpoint {
            is_tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: format!("{prefix}{PATH}"),
        })
    }

    /// Returns whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns `host:port`, as in the `Host` header.
    pub fn authority(&self) -> String {
        let Endpoint { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_servers_in_many_ways() {
        for (text, expected) in [
            ("http://host:18888", "ws://host:18888/ws/agent"),
            ("http://host:18888/", "ws://host:18888/ws/agent"),
            ("https://pika.example", "wss://pika.example:443/ws/agent"),
            ("https://pika.example/monitoring/", "wss://pika.example:443/monitoring/ws/agent"),
            ("ws://10.0.0.1/ws/agent", "ws://10.0.0.1:80/ws/agent"),
            ("wss://[2001:db8::1]:8443", "wss://[2001:db8::1]:8443/ws/agent"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "host",
            "host:18888",
            "ftp://host",
            "http://",
            "http://user:pw@host",
            "http://h/?token=1",
            "http://h/#x",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (text, expected) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }
}
