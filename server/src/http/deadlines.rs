//! Until when what has to happen on a connection. No I/O and no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::telemetry::ConnectionEnd;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For its first request to arrive up to the end of its header, with all that has to be agreed upon before.
    pub request_head: Duration,
    /// Between the end of an answer and the end of the next request's header.
    pub idle: Duration,
    /// From the end of a request's header to the last byte of its answer. Live streams are excepted.
    pub request: Duration,
    /// To take any byte of what it is sent.
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
    /// Counts while nothing is being answered.
    next_request_by: Instant,
    /// Requests so far.
    n_requests: u64,
    /// Those that are being answered, and until when.
    answering: Vec<(RequestNumber, Option<(Instant, ConnectionEnd)>)>,
    /// While the client takes nothing.
    write_by: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(timeouts: Timeouts, now: Instant) -> Self {
        let next_request_by = now + timeouts.request_head;
        Self { timeouts, next_request_by, n_requests: 0, answering: Vec::new(), write_by: None }
    }

    /// The header of a request has come.
    pub(super) fn begin_request(&mut self, now: Instant) -> RequestNumber {
        self.n_requests += 1;
        let number = RequestNumber(self.n_requests);
        self.answering.push((number, Some((now + self.timeouts.request, ConnectionEnd::RequestTimeout))));
        number
    }

    /// The request is answered to the last byte, or never will be.
    pub(super) fn end_request(&mut self, number: RequestNumber, now: Instant) {
        self.answering.retain(|(answering, _)| *answering != number);
        self.next_request_by = now + self.timeouts.idle;
    }

    /// A live stream waits for something to tell: that may take as long as it likes.
    pub(super) fn wait_for_news(&mut self, number: RequestNumber) {
        self.set(number, None);
    }

    /// A live stream has been told something, which the client has to take before it is told more.
    pub(super) fn wait_for_client(&mut self, number: RequestNumber, now: Instant) {
        self.set(number, Some((now + self.timeouts.write, ConnectionEnd::WriteTimeout)));
    }

    fn set(&mut self, number: RequestNumber, by: Option<(Instant, ConnectionEnd)>) {
        let request = self.answering.iter_mut().find(|(answering, _)| *answering == number);
        if let Some((_, deadline)) = request {
            *deadline = by;
        }
    }

    /// The client takes no more bytes.
    pub(super) fn block_writes(&mut self, now: Instant) {
        self.write_by.get_or_insert(now + self.timeouts.write);
    }

    /// The client has taken some.
    pub(super) fn unblock_writes(&mut self) {
        self.write_by = None;
    }

    /// Returns whether nothing is being answered.
    pub(super) fn is_awaiting_request(&self) -> bool {
        self.answering.is_empty()
    }

    /// The first deadline, and what is missed with it; `None` where nothing has to happen.
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
