//! A TCP proxy in front of a database that can be cut off, and put back, at any time.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    port: u16,
    target: String,
    is_open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// A proxy in front of the database of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let target = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_open = Arc::new(watch::Sender::new(true));
        let connections = Arc::clone(&is_open);
        let to = target.clone();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut open = connections.subscribe();
                let to = to.clone();
                tokio::spawn(async move {
                    if !*open.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { port, target, is_open }
    }

    /// The URL that leads through the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(&self.target, &format!("127.0.0.1:{}", self.port))
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets new connections through again.
    pub(crate) fn restore(&self) {
        self.is_open.send_replace(true);
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap()
}
