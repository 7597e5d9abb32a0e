//! Where a web page comes from, as `server.public_url` and `server.cors_origins` say it and as browsers do.

use std::fmt;

use hyper::http::uri::{Authority, Scheme, Uri};

/// Where a web page comes from: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: Scheme,
    authority: Authority,
}

impl WebOrigin {
    /// Understands `https://host` and `https://host:port`, with nothing behind.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let origin = Self::of_url(&uri)?;
        // A path of its own, `/`, is made up for none by the type.
        let is_bare = uri.query().is_none() && uri.path() == "/" && !text.ends_with('/');
        is_bare.then_some(origin)
    }

    /// The origin of the pages below a URL.
    pub fn of_url(url: &Uri) -> Option<Self> {
        let scheme = url.scheme().filter(|scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS)?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
        Some(Self { scheme: scheme.clone(), authority: normal(scheme, authority)? })
    }

    /// Whether a page of this origin talks to where it came from, when it talks to `host`. Schemes are not compared: a
    /// proxy that ends TLS need not have said so.
    pub fn is_at(&self, host: &str) -> bool {
        let host: Option<Authority> = host.parse().ok();
        host.and_then(|host| normal(&self.scheme, &host)).is_some_and(|host| host == self.authority)
    }
}

/// Without the port that the scheme has anyway, as browsers write it. Host names are compared without regard to case.
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
