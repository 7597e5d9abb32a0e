//! Validates user-supplied destinations.

use std::net::IpAddr;

use url::{Host, Url};

/// Ports below 1024 that may be connected to: those of mail and HTTP.
const LOW_PORTS: [u16; 5] = [25, 80, 443, 465, 587];
const FIRST_FREE_PORT: u16 = 1_024;
/// Maximum length of a URL.
const URL_BYTES_MAX: usize = 2_048;

/// Why a URL cannot be a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is malformed.
    #[error("is not a URL")]
    Syntax,
    /// It is too long.
    #[error("must be at most {URL_BYTES_MAX} bytes")]
    TooLong,
    /// It is neither `https` nor `http`.
    #[error("must begin with https://")]
    Scheme,
    /// It has a username or a password in it.
    #[error("must not have a username or password in it")]
    UserInfo,
    /// The port belongs to another protocol.
    #[error("cannot have this port: below 1024 there are only 25, 80, 443, 465 and 587")]
    Port,
    /// The host name is invalid.
    #[error("has no usable host name")]
    Host,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The name without a trailing dot, or the address without brackets.
    pub(super) host: String,
    /// The address, if given literally.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Destination {
    /// A host by name or address, and a port.
    ///
    /// # Errors
    /// If either cannot be used.
    pub fn new(host: &str, port: u16) -> Result<Self, DestinationError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Host::Ipv4(address),
            Ok(IpAddr::V6(address)) => Host::Ipv6(address),
            Err(_) => Host::parse(host).map_err(|_| DestinationError::Host)?,
        };
        Self::of_host(&host, port)
    }

    /// Returns the destination of a URL.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(super) fn of_url(url: &Url) -> Result<Self, DestinationError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::UserInfo);
        }
        let host = url.host().ok_or(DestinationError::Host)?;
        Self::of_host(&host, url.port_or_known_default().ok_or(DestinationError::Port)?)
    }

    fn of_host<S: AsRef<str>>(host: &Host<S>, port: u16) -> Result<Self, DestinationError> {
        if port < FIRST_FREE_PORT && !LOW_PORTS.contains(&port) {
            return Err(DestinationError::Port);
        }
        let (host, address) = match host {
            Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(*address))),
            Host::Ipv6(address) => (address.to_string(), Some(IpAddr::V6(*address))),
            Host::Domain(name) => (name.as_ref().trim_end_matches('.').to_owned(), None),
        };
        if host.is_empty() {
            return Err(DestinationError::Host);
        }
        Ok(Self { host, address, port })
    }

    /// Returns host and port as written in a URL.
    pub(super) fn authority(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Parses the URL of a destination.
///
/// # Errors
/// If it cannot be used.
pub fn parse_url(text: &str) -> Result<Url, DestinationError> {
    if URL_BYTES_MAX < text.len() {
        return Err(DestinationError::TooLong);
    }
    let url = Url::parse(text.trim()).map_err(|_| DestinationError::Syntax)?;
    if !["https", "http"].contains(&url.scheme()) {
        return Err(DestinationError::Scheme);
    }
    Destination::of_url(&url)?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_all_their_notations() {
        for text in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://１２７.０.０.１/",
            "http://0x7f000001/",
            "http://017700000001/",
        ] {
            let destination = Destination::of_url(&parse_url(text).unwrap()).unwrap();
            assert_eq!(destination.address, Some("127.0.0.1".parse().unwrap()), "{text}");
        }
        let of = |text: &str| Destination::of_url(&parse_url(text).unwrap()).unwrap();
        assert_eq!(of("https://[::ffff:7f00:1]/").address, Some("::ffff:127.0.0.1".parse().unwrap()));
        assert_eq!(of("https://example.org./x").host, "example.org");
        assert_eq!(of("https://bücher.example/").host, "xn--bcher-kva.example");
        assert_eq!(of("https://[2606:4700::1]/").authority(), "[2606:4700::1]:443");
    }

    #[test]
    fn invalid_destinations_are_refused() {
        for (text, error) in [
            ("", DestinationError::Syntax),
            ("hooks.example.org/x", DestinationError::Syntax),
            ("https://", DestinationError::Syntax),
            ("ftp://example.org/", DestinationError::Scheme),
            ("file:///etc/passwd", DestinationError::Scheme),
            ("gopher://127.0.0.1:70/", DestinationError::Scheme),
            ("https://user@example.org/", DestinationError::UserInfo),
            ("https://:secret@example.org/", DestinationError::UserInfo),
            ("https://example.org:0/", DestinationError::Port),
            ("https://example.org:22/", DestinationError::Port),
            ("http://example.org:111/", DestinationError::Port),
            ("https://[::1/", DestinationError::Syntax),
            ("https://a b/", DestinationError::Syntax),
            ("https://1.2.3.4.5.999/", DestinationError::Syntax),
        ] {
            assert_eq!(parse_url(text), Err(error), "{text}");
        }
        assert_eq!(parse_url(&format!("https://a/{}", "x".repeat(2_048))), Err(DestinationError::TooLong));
        assert!(parse_url("https://example.org:8443/x?y#z").is_ok());
    }

    #[test]
    fn hosts_of_mail_servers_are_names_or_addresses() {
        let of = |host: &str| Destination::new(host, 587).map(|destination| destination.host);
        assert_eq!(of("mail.example.org").unwrap(), "mail.example.org");
        assert_eq!(of("2606:4700::1").unwrap(), "2606:4700::1");
        assert_eq!(of("[2606:4700::1]").unwrap(), "2606:4700::1");
        assert_eq!(of("0x7f.1").unwrap(), "127.0.0.1");
        for wrong in ["", "a b", "mail.example.org/x", "user@mail.example.org", "mail:25"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Destination::new("mail.example.org", 23), Err(DestinationError::Port));
    }
}
