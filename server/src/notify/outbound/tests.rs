//! Tests of what may be connected to, with a listener on loopback that must not be reached.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers of a resolver for every name, one lookup after another; the last one is repeated.
fn resolving(allowed: &[&str], proxy: &str, answers: &[&[&str]]) -> Outbound {
    let options = OutboundOptions {
        allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
        http_proxy: proxy.to_owned(),
        request_timeout: Duration::from_secs(5),
        tls: None,
    };
    let answers: Vec<Vec<IpAddr>> = answers
        .iter()
        .map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect())
        .collect();
    let n_asked = AtomicUsize::new(0);
    let resolve = move |_| {
        let index = n_asked.fetch_add(1, Ordering::Relaxed).min(answers.len().saturating_sub(1));
        let answer = answers.get(index).cloned().unwrap_or_default();
        Box::pin(async move { Ok(answer) }) as BoxFuture<'static, _>
    };
    Outbound::resolving(options, Box::new(resolve)).unwrap()
}

fn get(url: &str) -> Request {
    Request { method: Method::GET, url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
}

/// A server that answers every request with the same bytes, and counts and keeps the requests.
async fn receiver(answer: &'static [u8]) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4_096];
            let n_read = stream.read(&mut buffer).await.unwrap_or(0);
            received.lock().unwrap().push(buffer[..n_read].to_vec());
            drop(stream.write_all(answer).await);
        }
    });
    (port, seen)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn internal_addresses_are_never_reached() {
    let (port, seen) = receiver(OK).await;
    // By address, in all notations of URLs.
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "１２７.０.０.１",
        "127。0。0。1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "169.254.169.254",
        "192.168.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "198.18.0.1",
    ];
    let outbound = resolving(&[], "", &[]);
    for scheme in ["http", "https"] {
        for host in hosts {
            let url = format!("{scheme}://{host}:{port}/");
            let result = outbound.send(&get(&url)).await;
            assert!(matches!(result, Err(OutboundError::RefusedAddress { .. })), "{url}: {result:?}");
            let checked = outbound.check_url(&url).await;
            assert!(matches!(checked, Err(OutboundError::RefusedAddress { .. })), "{url}: {checked:?}");
        }
    }
    // By name, whatever else it resolves to.
    for answer in [
        &["127.0.0.1"] as &[&str],
        &["::1"],
        &["1.1.1.1", "127.0.0.1"],
        &["127.0.0.1", "1.1.1.1"],
        &["2606:4700::1", "::ffff:10.0.0.1"],
        &["64:ff9b::a00:1"],
    ] {
        let outbound = resolving(&[], "", &[answer]);
        let result = outbound.send(&get(&format!("https://inside.example:{port}/"))).await;
        assert!(matches!(result, Err(OutboundError::RefusedAddress { .. })), "{answer:?}: {result:?}");
    }
    // The check when a channel is saved does not count later.
    let outbound = resolving(&[], "", &[&["1.1.1.1"], &["127.0.0.1"]]);
    let url = format!("https://rebinding.example:{port}/");
    assert!(outbound.check_url(&url).await.is_ok());
    assert!(matches!(outbound.send(&get(&url)).await, Err(OutboundError::RefusedAddress { .. })));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn plain_http_is_limited_to_allowed_networks() {
    let (port, seen) = receiver(OK).await;
    let outbound = resolving(&["127.0.0.0/8"], "", &[&["1.1.1.1"], &["127.0.0.1"]]);
    let url = format!("http://receiver.example:{port}/x?y=z");
    let result = outbound.send(&get(&url)).await;
    assert!(matches!(result, Err(OutboundError::NotEncrypted { .. })), "{result:?}");
    let response = outbound.send(&get(&url)).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()));
    let expected = format!(
        "GET /x?y=z HTTP/1.1\r\nhost: receiver.example:{port}\r\nuser-agent: Pika/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(String::from_utf8_lossy(&seen.lock().unwrap()[0]), expected);
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/canary\r\ncontent-length: 0\r\n\r\n";
    let (port, seen) = receiver(answer).await;
    let outbound = resolving(&["127.0.0.1/32"], "", &[]);
    let response = outbound.send(&get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
    assert_eq!((response.status, response.moved_to.as_deref()), (302, Some("127.0.0.1")));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        while stream.write_all(&[b'x'; 1_024]).await.is_ok() {}
    });
    let outbound = resolving(&["127.0.0.1/32"], "", &[]);
    let response = outbound.send(&get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
    assert_eq!(response.body.len(), 65_536);
}

#[tokio::test]
async fn invalid_or_incomplete_http_is_an_error() {
    for answer in
        [b"SSH-2.0-OpenSSH_9.7\r\n".as_slice(), b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"]
    {
        let (port, _) = receiver(answer).await;
        let outbound = resolving(&["127.0.0.1/32"], "", &[]);
        let result = outbound.send(&get(&format!("http://127.0.0.1:{port}/"))).await;
        assert!(matches!(result, Err(OutboundError::Protocol(_))), "{answer:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_ends_in_time() {
    let (port, _) = receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    let options = OutboundOptions {
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        http_proxy: String::new(),
        request_timeout: Duration::from_millis(50),
        tls: None,
    };
    let outbound = Outbound::new(options).unwrap();
    let result = outbound.send(&get(&format!("http://127.0.0.1:{silent}/"))).await;
    assert!(matches!(result, Err(OutboundError::Timeout)), "{result:?}");
    drop((port, listener));
}

#[tokio::test]
async fn a_proxy_is_trusted_for_names_only() {
    let (port, seen) = receiver(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let outbound = resolving(&[], &format!("http://127.0.0.1:{port}"), &[]);
    let result = outbound.send(&get("https://hooks.example.org/secret")).await;
    assert!(matches!(result, Err(OutboundError::Proxy(403))), "{result:?}");
    let expected = "CONNECT hooks.example.org:443 HTTP/1.1\r\nHost: hooks.example.org:443\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&seen.lock().unwrap()[0]), expected);
    for (url, is_right) in [
        ("https://127.0.0.1/", false),
        ("https://[::1]/", false),
        ("http://hooks.example.org/", false),
        ("https://1.1.1.1/", true),
    ] {
        let result = outbound.send(&get(url)).await;
        assert_eq!(matches!(result, Err(OutboundError::Proxy(403))), is_right, "{url}: {result:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert!(
        Outbound::new(OutboundOptions {
            allowed_networks: Vec::new(),
            http_proxy: "socks5://127.0.0.1".to_owned(),
            request_timeout: Duration::from_secs(1),
            tls: None,
        })
        .is_err()
    );
}
