//! The deadlines of a connection, without I/O or a clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::telemetry::ConnectionEnd;

/// Timeouts for clients.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From connecting to the end of the first request's header, including the TLS handshake.
    pub request_head: Duration,
    /// From the end of a response to the end of the next request's header.
    pub idle: Duration,
    /// From the end of a request's header to the last byte of its response, except for live streams.
    pub request: Duration,
    /// For accepting any byte of a response.
    pub write: Duration,
}

impl From<&config::ServerConfig> for Timeouts {
    fn from(server: &config::ServerConfig) -> Self {
        Self {
            request_head: Duration::from_millis(server.request_head_timeout_ms),
            idle: Duration::from_millis(server.idle_timeout_ms),
            request: Duration::from_millis(server.request_timeout_ms),
            write: Duration::from_millis(server.write_timeout_ms),
        }
    }
}

/// A request that is being answered, by its number on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestNumber(u64);

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    timeouts: Timeouts,
    /// Applies while no request is being answered.
    next_request_by: Instant,
    /// The number of requests so far.
    n_requests: u64,
    /// The requests being answered, with their deadlines.
    answering: Vec<(RequestNumber, Option<(Instant, ConnectionEnd)>)>,
    /// Applies while the client accepts no bytes.
    write_by: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(timeouts: Timeouts, now: Instant) -> Self {
        let next_request_by = now + timeouts.request_head;
        Self { timeouts, next_request_by, n_requests: 0, answering: Vec::new(), write_by: None }
    }

    /// Records that the header of a request has arrived.
    pub(super) fn begin_request(&mut self, now: Instant) -> RequestNumber {
        self.n_requests += 1;
        let number = RequestNumber(self.n_requests);
        self.answering.push((number, Some((now + self.timeouts.request, ConnectionEnd::RequestTimeout))));
        number
    }

    /// Records that the request is completely answered, or never will be.
    pub(super) fn end_request(&mut self, number: RequestNumber, now: Instant) {
        self.answering.retain(|(answering, _)| *answering != number);
        self.next_request_by = now + self.timeouts.idle;
    }

    /// Records that a live stream is waiting for data, which has no deadline.
    pub(super) fn wait_for_news(&mut self, number: RequestNumber) {
        self.set(number, None);
    }

    /// Records that a live stream has data, which the client has to accept in time.
    pub(super) fn wait_for_client(&mut self, number: RequestNumber, now: Instant) {
        self.set(number, Some((now + self.timeouts.write, ConnectionEnd::WriteTimeout)));
    }

    fn set(&mut self, number: RequestNumber, by: Option<(Instant, ConnectionEnd)>) {
        let request = self.answering.iter_mut().find(|(answering, _)| *answering == number);
        if let Some((_, deadline)) = request {
            *deadline = by;
        }
    }

    /// Records that the client accepts no more bytes.
    pub(super) fn block_writes(&mut self, now: Instant) {
        self.write_by.get_or_insert(now + self.timeouts.write);
    }

    /// Records that the client has accepted bytes.
    pub(super) fn unblock_writes(&mut self) {
        self.write_by = None;
    }

    /// Returns whether no request is being answered.
    pub(super) fn is_awaiting_request(&self) -> bool {
        self.answering.is_empty()
    }

    /// Returns the first deadline and its kind, if any.
    pub(super) fn first(&self) -> Option<(Instant, ConnectionEnd)> {
        let next_request = self.is_awaiting_request().then(|| {
            let is_first = self.n_requests == 0;
            let missed =
                if is_first { ConnectionEnd::RequestHeadTimeout } else { ConnectionEnd::IdleTimeout };
            (self.next_request_by, missed)
        });
        let answers = self.answering.iter().filter_map(|(_, by)| *by);
        let write = self.write_by.map(|by| (by, ConnectionEnd::WriteTimeout));
        answers.chain(next_request).chain(write).min_by_key(|(by, _)| *by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts = Timeouts {
        request_head: SECOND,
        idle: Duration::from_secs(2),
        request: Duration::from_secs(4),
        write: SECOND,
    };

    #[test]
    fn each_request_has_to_come_and_to_be_answered_in_time() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        assert_eq!(deadlines.first(), Some((start + SECOND, ConnectionEnd::RequestHeadTimeout)));
        let first = deadlines.begin_request(start);
        let second = deadlines.begin_request(start + SECOND);
        assert_eq!(deadlines.first(), Some((start + 4 * SECOND, ConnectionEnd::RequestTimeout)));
        deadlines.end_request(first, start + 2 * SECOND);
        assert_eq!(deadlines.first(), Some((start + 5 * SECOND, ConnectionEnd::RequestTimeout)));
        deadlines.end_request(second, start + 2 * SECOND);
        assert_eq!(deadlines.first(), Some((start + 4 * SECOND, ConnectionEnd::IdleTimeout)));
    }

    #[test]
    fn a_live_stream_lasts_as_long_as_it_is_read() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        let live = deadlines.begin_request(start);
        deadlines.wait_for_news(live);
        assert_eq!(deadlines.first(), None);
        deadlines.wait_for_client(live, start + 9 * SECOND);
        assert_eq!(deadlines.first(), Some((start + 10 * SECOND, ConnectionEnd::WriteTimeout)));
        deadlines.wait_for_news(live);
        assert_eq!(deadlines.first(), None);
    }

    #[test]
    fn a_client_that_takes_nothing_is_not_waited_for() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(TIMEOUTS, start);
        deadlines.begin_request(start);
        deadlines.block_writes(start);
        deadlines.block_writes(start + SECOND / 2);
        assert_eq!(deadlines.first(), Some((start + SECOND, ConnectionEnd::WriteTimeout)), "since the first");
        deadlines.unblock_writes();
        assert_eq!(deadlines.first(), Some((start + 4 * SECOND, ConnectionEnd::RequestTimeout)));
    }
}
