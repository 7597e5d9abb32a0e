//! Origins of web pages, as in `server.public_url`, `server.cors_origins` and browsers' headers.

use std::fmt;

use hyper::http::uri::{Authority, Scheme, Uri};

/// The origin of a web page: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: Scheme,
    authority: Authority,
}

impl WebOrigin {
    /// Parses `https://host` and `https://host:port`, without a path.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let origin = Self::of_url(&uri)?;
        // The type reports `/` for a missing path.
        let is_bare = uri.query().is_none() && uri.path() == "/" && !text.ends_with('/');
        is_bare.then_some(origin)
    }

    /// Returns the origin of the pages below a URL.
    pub fn of_url(url: &Uri) -> Option<Self> {
        let scheme = url.scheme().filter(|scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS)?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
        Some(Self { scheme: scheme.clone(), authority: normal(scheme, authority)? })
    }

    /// Returns whether `host` is this origin's host. Schemes are not compared: a proxy that terminates TLS need not
    /// report it.
    pub fn is_at(&self, host: &str) -> bool {
        let host: Option<Authority> = host.parse().ok();
        host.and_then(|host| normal(&self.scheme, &host)).is_some_and(|host| host == self.authority)
    }
}

/// Removes the scheme's default port, as browsers do. `Authority` compares host names case-insensitively.
fn normal(scheme: &Scheme, authority: &Authority) -> Option<Authority> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    match authority.port_u16() {
        Some(port) if port == usual => authority.host().parse().ok(),
        _ => Some(authority.clone()),
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path() {
        assert_eq!(WebOrigin::parse("https://a.example:443").unwrap().to_string(), "https://a.example");
        assert!(WebOrigin::parse("http://a.example:8080").is_some());
        for text in ["https://a.example/", "https://a.example/x", "a.example", "*", "ftp://a.example"] {
            assert!(WebOrigin::parse(text).is_none(), "{text}");
        }
    }
}
