//! A TCP proxy that treats connections like a bad network: cuts them, stalls them, and breaks them at any byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Random;

/// Longest stall of a fault.
const STALL_MS_MAX: u64 = 300;

/// Answers are shorter than requests by this factor.
const ANSWERS_SHORTER_BY: u64 = 8;

pub(crate) struct Proxy {
    port: u16,
    target: String,
    shared: Arc<Shared>,
}

struct Shared {
    gate: watch::Sender<Gate>,
    faults: Mutex<Option<Faults>>,
    delays: Mutex<Option<Delays>>,
    n_faults: AtomicU64,
}

/// What happens to all connections.
#[derive(Clone, Copy)]
struct Gate {
    state: GateState,
    /// Connections of an earlier generation end.
    generation: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum GateState {
    Open,
    Stalled,
    Cut,
}

/// What happens to each connection, once.
pub(crate) struct Faults {
    pub(crate) random: Random,
    /// A fault happens after at least 2^this bytes,
    pub(crate) bits_min: u64,
    /// and before twice 2^this bytes; all powers of two are equally likely, so that all stages of a conversation are met.
    pub(crate) bits_max: u64,
}

/// Delays of answers, drawn for each connection.
pub(crate) struct Delays {
    pub(crate) random: Random,
    pub(crate) ms_max: u64,
}

impl Delays {
    fn draw(&mut self) -> Duration {
        Duration::from_millis(self.random.below(self.ms_max))
    }
}

#[derive(Clone, Copy)]
struct Fault {
    is_towards_target: bool,
    after_bytes: u64,
    kind: FaultKind,
}

#[derive(Clone, Copy)]
enum FaultKind {
    /// The connection ends between two chunks.
    Cut,
    /// The connection ends in the middle of a chunk.
    Truncate,
    /// Nothing moves for a while in the middle of a chunk; after as many bytes again the connection ends.
    Stall(Duration),
}

impl Faults {
    fn draw(&mut self) -> Fault {
        let power = 1 << (self.bits_min + self.random.below(self.bits_max - self.bits_min + 1));
        let kind = match self.random.below(5) {
            0 | 1 => FaultKind::Cut,
            2 | 3 => FaultKind::Truncate,
            _ => FaultKind::Stall(Duration::from_millis(1 + self.random.below(STALL_MS_MAX))),
        };
        let is_towards_target = self.random.below(2) == 0;
        let bytes = power + self.random.below(power);
        let after_bytes = if is_towards_target { bytes } else { bytes / ANSWERS_SHORTER_BY };
        Fault { is_towards_target, after_bytes, kind }
    }
}

impl Proxy {
    /// Starts a proxy in front of the database, or the server, of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let target = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            gate: watch::Sender::new(Gate { state: GateState::Open, generation: 0 }),
            faults: Mutex::new(None),
            delays: Mutex::new(None),
            n_faults: AtomicU64::new(0),
        });
        let connections = Arc::clone(&shared);
        let to = target.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let gate = *connections.gate.borrow();
                if gate.state == GateState::Cut {
                    continue;
                }
                // If nothing listens there, the client's connection is closed.
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                tokio::spawn(serve(Arc::clone(&connections), gate.generation, client, server));
            }
        });
        Self { port, target, shared }
    }

    /// Returns the URL through the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(&self.target, &self.address())
    }

    /// Returns the proxy's address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.shared.gate.send_modify(|gate| {
            *gate = Gate { state: GateState::Cut, generation: gate.generation + 1 };
        });
    }

    /// Lets nothing through any more, without ending connections.
    pub(crate) fn stall(&self) {
        self.shared.gate.send_modify(|gate| gate.state = GateState::Stalled);
    }

    /// Lets everything through again.
    pub(crate) fn restore(&self) {
        self.shared.gate.send_modify(|gate| gate.state = GateState::Open);
    }

    /// Cuts all connections; from now on faults happen to new ones.
    pub(crate) fn begin_faults(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = Some(faults);
        self.shared.gate.send_modify(|gate| gate.generation += 1);
    }

    /// Stops faults on new connections.
    pub(crate) fn end_faults(&self) {
        *self.shared.faults.lock().unwrap() = None;
    }

    /// From now on answers are delayed, differently on each connection.
    pub(crate) fn delay_answers(&self, delays: Delays) {
        *self.shared.delays.lock().unwrap() = Some(delays);
    }

    /// Number of faults that have happened.
    pub(crate) fn n_faults(&self) -> u64 {
        self.shared.n_faults.load(Ordering::Relaxed)
    }
}

async fn serve(shared: Arc<Shared>, generation: u64, client: TcpStream, server: TcpStream) {
    let fault = shared.faults.lock().unwrap().as_mut().map(Faults::draw);
    let delay = shared.delays.lock().unwrap().as_mut().map_or(Duration::ZERO, Delays::draw);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let towards = |is_towards_target| fault.filter(|fault| fault.is_towards_target == is_towards_target);
    let mut gate = shared.gate.subscribe();
    tokio::select! {
        biased;
        _ = gate.wait_for(|gate| gate.generation != generation) => {}
        () = pump(&shared, from_client, to_server, towards(true), Duration::ZERO) => {}
        () = pump(&shared, from_server, to_client, towards(false), delay) => {}
    }
}

/// Copies bytes in one direction until either side ends, or the fault ends both.
async fn pump(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: Option<Fault>,
    delay: Duration,
) {
    let mut gate = shared.gate.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    let mut n_passed = 0;
    while let Ok(n_read @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(|gate| gate.state == GateState::Open).await.is_err() {
            return;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut chunk = &buffer[..n_read];
        if let Some(Fault { is_towards_target, after_bytes, kind }) = fault
            && after_bytes < n_passed + n_read as u64
        {
            shared.n_faults.fetch_add(1, Ordering::Relaxed);
            let (before, after) = chunk.split_at(usize::try_from(after_bytes - n_passed).unwrap());
            match kind {
                FaultKind::Cut => return,
                FaultKind::Truncate => {
                    drop(to.write_all(before).await);
                    return;
                }
                FaultKind::Stall(duration) => {
                    if to.write_all(before).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(duration).await;
                    chunk = after;
                    fault = Some(Fault {
                        is_towards_target,
                        after_bytes: n_passed + n_read as u64 + after_bytes,
                        kind: FaultKind::Truncate,
                    });
                }
            }
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
        n_passed += n_read as u64;
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap()
}
