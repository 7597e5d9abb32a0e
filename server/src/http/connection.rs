//! What the server knows of an open connection; shared by its stream, its requests and the task that serves it.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connection_limiter::ConnectionSlot;
use super::deadlines::{Deadlines, RequestNumber, Timeouts};
use super::memory::{Buffers, OutOfMemory};
use crate::domain::text::clean;
use crate::telemetry::{ConnectionEnd, Instruments};

/// Bytes of a request's header that are read at most.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a body that are read before anybody wants them.
pub(super) const READ_AHEAD_BYTES: usize = 16 * 1024;

/// An open connection.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: IpAddr,
    slot: ConnectionSlot,
    buffers: Buffers,
    state: Mutex<State>,
    /// The first deadline has come nearer.
    nearer: Notify,
    is_write_blocked: AtomicBool,
    instruments: Arc<Instruments>,
}

#[derive(Debug)]
struct State {
    deadlines: Deadlines,
    /// The deadline that the task waits for.
    awaited: Option<Instant>,
    input: Input,
    /// Bytes that have come and are counted as buffered.
    received: usize,
}

/// What becomes of the bytes that come.
#[derive(Clone, Copy, Debug)]
enum Input {
    /// They are parsed, and those of a body are counted by whoever reads it.
    Http,
    /// They belong to an agent that is not registered yet, which may send so many more.
    Probation(usize),
    /// They belong to a registered agent.
    Agent,
}

impl Connection {
    pub(super) fn new(
        peer: IpAddr,
        slot: ConnectionSlot,
        buffers: Buffers,
        timeouts: Timeouts,
        instruments: Arc<Instruments>,
    ) -> Self {
        let deadlines = Deadlines::new(timeouts, Instant::now());
        let state = State { deadlines, awaited: None, input: Input::Http, received: 0 };
        Self(Arc::new(Shared {
            peer,
            slot,
            buffers,
            state: Mutex::new(state),
            nearer: Notify::new(),
            is_write_blocked: AtomicBool::new(false),
            instruments,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the deadlines, and tells the task that waits for the first of them where it has come nearer.
    fn change<T>(&self, change: impl FnOnce(&mut Deadlines) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.deadlines);
        let is_nearer = match (state.deadlines.first(), state.awaited) {
            (Some((by, _)), Some(awaited)) => by < awaited,
            (Some(_), None) => true,
            (None, _) => false,
        };
        drop(state);
        if is_nearer {
            self.0.nearer.notify_one();
        }
        result
    }

    /// Ends when the connection has to. Returns the deadline that is missed; `None` where it has to give way to another.
    pub(super) async fn overdue(&self) -> Option<ConnectionEnd> {
        loop {
            let first = {
                let mut state = self.state();
                let first = state.deadlines.first();
                state.awaited = first.map(|(by, _)| by);
                first
            };
            if let Some((_, missed)) = first.filter(|(by, _)| *by <= Instant::now()) {
                return Some(missed);
            }
            let due = async {
                match first {
                    Some((by, _)) => sleep_until(by).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.slot.displaced().cancelled() => return None,
                () = self.0.nearer.notified() => {}
                () = due => {}
            }
        }
    }

    /// Counts that the server ends the connection, and logs it.
    pub(super) fn note_end(&self, end: ConnectionEnd, error: Option<&io::Error>) {
        self.0.instruments.add_ended_connection(end);
        // Every client that keeps its connection comes to this end.
        if end == ConnectionEnd::IdleTimeout {
            return;
        }
        let address = self.0.peer;
        if let Some(count) = self.0.instruments.strangers().note(end.as_str(), &address.to_string()) {
            let error = error.map(|error| clean(&error.to_string()));
            tracing::info!(%address, count, reason = end.as_str(), error, "ended a connection");
        }
    }

    /// The header of a request has come.
    pub(super) fn begin_request(&self) -> Answering {
        self.forget_received();
        let number = self.change(|deadlines| deadlines.begin_request(Instant::now()));
        Answering { connection: self.clone(), number }
    }

    /// Bytes have come.
    ///
    /// # Errors
    /// `QuotaExceeded` when an agent sends more than it may before it is registered; another when too much is buffered.
    pub(super) fn receive(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.state();
        let State { deadlines, input, received, .. } = &mut *state;
        let counted = match input {
            Input::Agent => return Ok(()),
            Input::Http if !deadlines.is_awaiting_request() => return Ok(()),
            // What is more than a header can have has been read and forgotten.
            Input::Http => bytes.min(HEAD_BYTES_MAX.saturating_sub(*received)),
            Input::Probation(rest) => {
                *rest = rest.checked_sub(bytes).ok_or(io::ErrorKind::QuotaExceeded)?;
                bytes
            }
        };
        self.0.buffers.add(counted).map_err(io::Error::other)?;
        *received += counted;
        Ok(())
    }

    /// What has come is not buffered any more.
    pub(super) fn forget_received(&self) {
        let received = std::mem::take(&mut self.state().received);
        self.0.buffers.remove(received);
    }

    /// The client takes no more bytes.
    pub(super) fn block_writes(&self) {
        if !self.0.is_write_blocked.swap(true, Ordering::Relaxed) {
            self.change(|deadlines| deadlines.block_writes(Instant::now()));
        }
    }

    /// The client has taken some.
    pub(super) fn unblock_writes(&self) {
        if self.0.is_write_blocked.swap(false, Ordering::Relaxed) {
            self.change(Deadlines::unblock_writes);
        }
    }

    /// So many bytes of a request are buffered, until the answer is dropped.
    pub(super) fn buffer(&self, bytes: usize) -> Result<Buffered, OutOfMemory> {
        let mut buffered = Buffered { connection: self.clone(), bytes: 0 };
        buffered.grow_to(bytes)?;
        Ok(buffered)
    }

    /// From now on the connection is a WebSocket, over which so many bytes may come until its agent is registered. Until
    /// then it gives way to others when there are too many.
    pub fn begin_probation(&self, bytes_max: usize) {
        self.state().input = Input::Probation(bytes_max);
    }

    /// The agent at the other end is registered: it need not give way, and sends what agents may.
    pub fn end_probation(&self) {
        self.state().input = Input::Agent;
        self.forget_received();
        self.0.slot.keep();
    }

    /// Cancelled when the connection has to give way to another.
    pub fn displaced(&self) -> CancellationToken {
        self.0.slot.displaced().clone()
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    connection: Connection,
    number: RequestNumber,
}

impl Answering {
    /// The answer is a live stream: its connection need not give way.
    pub(super) fn keep_connection(&self) {
        self.connection.0.slot.keep();
    }

    /// A live stream waits for something to tell.
    pub(super) fn wait_for_news(&self) {
        self.connection.change(|deadlines| deadlines.wait_for_news(self.number));
    }

    /// A live stream was told something.
    pub(super) fn wait_for_client(&self) {
        self.connection.change(|deadlines| deadlines.wait_for_client(self.number, Instant::now()));
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.change(|deadlines| deadlines.end_request(self.number, Instant::now()));
    }
}

/// Bytes of a request that are buffered, until this is dropped.
#[derive(Debug)]
pub(super) struct Buffered {
    connection: Connection,
    bytes: usize,
}

impl Buffered {
    /// So many bytes are buffered now.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.bytes < bytes {
            self.connection.0.buffers.add(bytes - self.bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.connection.0.buffers.remove(self.bytes);
    }
}
