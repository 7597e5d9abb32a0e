//! The state of an open connection, shared by its stream, its requests and the task that serves it.

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

/// Maximum size of a request's header, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a body that are read ahead.
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
    /// Notified when the first deadline becomes earlier.
    nearer: Notify,
    is_write_blocked: AtomicBool,
    instruments: Arc<Instruments>,
}

#[derive(Debug)]
struct State {
    deadlines: Deadlines,
    /// The deadline that the task is waiting for.
    awaited: Option<Instant>,
    input: Input,
    /// Received bytes that count as buffered.
    received: usize,
}

/// How received bytes are handled.
#[derive(Clone, Copy, Debug)]
enum Input {
    /// They are parsed as HTTP; the reader of a body counts its bytes.
    Http,
    /// They are from an agent that is not registered yet and may send this many more.
    Probation(usize),
    /// They are from a registered agent.
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

    /// Changes the deadlines, and wakes the waiting task if the first one becomes earlier.
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

    /// Waits until the connection has to end. Returns the missed deadline; `None` if it is displaced by another
    /// connection.
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

    /// Counts and logs that the server ends the connection.
    pub(super) fn note_end(&self, end: ConnectionEnd, error: Option<&io::Error>) {
        self.0.instruments.add_ended_connection(end);
        // This is normal for every client that keeps its connection.
        if end == ConnectionEnd::IdleTimeout {
            return;
        }
        let address = self.0.peer;
        if let Some(count) = self.0.instruments.strangers().note(end.as_str(), &address.to_string()) {
            let error = error.map(|error| clean(&error.to_string()));
            tracing::info!(%address, count, reason = end.as_str(), error, "ended a connection");
        }
    }

    /// Records that the header of a request has arrived.
    pub(super) fn begin_request(&self) -> Answering {
        self.forget_received();
        let number = self.change(|deadlines| deadlines.begin_request(Instant::now()));
        Answering { connection: self.clone(), number }
    }

    /// Counts received bytes.
    ///
    /// # Errors
    /// `QuotaExceeded` if an agent sends too much before it is registered; another kind if too much is buffered.
    pub(super) fn receive(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.state();
        let State { deadlines, input, received, .. } = &mut *state;
        let counted = match input {
            Input::Agent => return Ok(()),
            Input::Http if !deadlines.is_awaiting_request() => return Ok(()),
            // Bytes beyond the size of a header have been read and dropped.
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

    /// Records that received bytes are no longer buffered.
    pub(super) fn forget_received(&self) {
        let received = std::mem::take(&mut self.state().received);
        self.0.buffers.remove(received);
    }

    /// Records that the client accepts no more bytes.
    pub(super) fn block_writes(&self) {
        if !self.0.is_write_blocked.swap(true, Ordering::Relaxed) {
            self.change(|deadlines| deadlines.block_writes(Instant::now()));
        }
    }

    /// Records that the client has accepted bytes.
    pub(super) fn unblock_writes(&self) {
        if self.0.is_write_blocked.swap(false, Ordering::Relaxed) {
            self.change(Deadlines::unblock_writes);
        }
    }

    /// Counts bytes of a request as buffered until the result is dropped.
    pub(super) fn buffer(&self, bytes: usize) -> Result<Buffered, OutOfMemory> {
        let mut buffered = Buffered { connection: self.clone(), bytes: 0 };
        buffered.grow_to(bytes)?;
        Ok(buffered)
    }

    /// Makes the connection a WebSocket, which may receive this many bytes until its agent is registered. Until then it
    /// can be displaced when there are too many connections.
    pub fn begin_probation(&self, bytes_max: usize) {
        self.state().input = Input::Probation(bytes_max);
    }

    /// Records that the agent is registered: the connection is never displaced, and the limits of agents apply.
    pub fn end_probation(&self) {
        self.state().input = Input::Agent;
        self.forget_received();
        self.0.slot.keep();
    }

    /// Returns a token that is cancelled when the connection is displaced by another.
    pub fn displaced(&self) -> CancellationToken {
        self.0.slot.displaced().clone()
    }
}

/// Marks a request as being answered until dropped.
#[derive(Debug)]
pub(super) struct Answering {
    connection: Connection,
    number: RequestNumber,
}

impl Answering {
    /// Keeps the connection from being displaced, for live streams.
    pub(super) fn keep_connection(&self) {
        self.connection.0.slot.keep();
    }

    /// Records that a live stream is waiting for data.
    pub(super) fn wait_for_news(&self) {
        self.connection.change(|deadlines| deadlines.wait_for_news(self.number));
    }

    /// Records that a live stream has data to send.
    pub(super) fn wait_for_client(&self) {
        self.connection.change(|deadlines| deadlines.wait_for_client(self.number, Instant::now()));
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.change(|deadlines| deadlines.end_request(self.number, Instant::now()));
    }
}

/// Counts bytes of a request as buffered until dropped.
#[derive(Debug)]
pub(super) struct Buffered {
    connection: Connection,
    bytes: usize,
}

impl Buffered {
    /// Increases the number of buffered bytes.
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
