//! Gives connections their turns to read the next frame.
//!
//! A frame that was read takes memory until there is room for its rows, which is long while the database is
//! unavailable. Therefore only a limited number of connections hold one at a time; what the others are sent stays in
//! the network and with their agents. Turns go to those that have waited longest, and are returned at once by a
//! connection that has nothing to read.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A frame that arrives after at least this much waiting was not buffered unread on this machine.
const AWAITED_MIN: Duration = Duration::from_millis(100);

/// The state of reading from one connection.
pub(super) struct Reading {
    turns: Arc<Semaphore>,
    turn: Turn,
    /// Since when the next frame has been awaited; `None` while nothing is read.
    listening_since: Option<Instant>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

enum Turn {
    None,
    Waiting(Waiting),
    #[expect(dead_code, reason = "held for what dropping it does")]
    Held(OwnedSemaphorePermit),
}

impl Reading {
    pub(super) fn new(turns: Arc<Semaphore>) -> Self {
        Self { turns, turn: Turn::None, listening_since: None }
    }

    /// Reads the next frame when it is this connection's turn, which is kept from then on. Dropping the future does not
    /// lose the place in the queue.
    pub(super) async fn read<T>(&mut self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        poll_fn(|cx| {
            ready!(self.poll_turn(cx));
            let polled = next.as_mut().poll(cx);
            if polled.is_pending() {
                self.turn = Turn::None;
                self.listening_since.get_or_insert_with(Instant::now);
            }
            polled
        })
        .await
    }

    /// Returns the turn: there is room for the frame that was read.
    pub(super) fn end_turn(&mut self) {
        if matches!(self.turn, Turn::Held(_)) {
            self.turn = Turn::None;
        }
    }

    /// Stops reading for now.
    pub(super) fn pause(&mut self) {
        self.turn = Turn::None;
        self.listening_since = None;
    }

    /// Returns whether a frame that arrives now is read at once.
    pub(super) fn is_listening(&self) -> bool {
        self.listening_since.is_some()
    }

    /// Notes that a frame arrived. Returns whether it had been awaited.
    pub(super) fn was_awaited(&mut self) -> bool {
        self.listening_since.take().is_some_and(|since| AWAITED_MIN <= since.elapsed())
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.turn {
                Turn::Held(_) => return Poll::Ready(()),
                Turn::None => {
                    self.turn = match Arc::clone(&self.turns).try_acquire_owned() {
                        Ok(permit) => Turn::Held(permit),
                        Err(_) => Turn::Waiting(Box::pin(Arc::clone(&self.turns).acquire_owned())),
                    };
                }
                Turn::Waiting(waiting) => {
                    self.listening_since = None;
                    match ready!(waiting.as_mut().poll(cx)) {
                        Ok(permit) => self.turn = Turn::Held(permit),
                        // Nobody closes it.
                        Err(_) => return Poll::Pending,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::poll;

    use super::*;

    /// Connections that share one turn.
    fn connections<const N: usize>() -> [Reading; N] {
        let turns = Arc::new(Semaphore::new(1));
        [(); N].map(|()| Reading::new(Arc::clone(&turns)))
    }

    /// Returns whether a frame that is available is read.
    async fn reads(reading: &mut Reading) -> bool {
        poll!(pin!(reading.read(ready(())))).is_ready()
    }

    #[tokio::test]
    async fn a_connection_with_nothing_to_read_blocks_nobody() {
        let [mut idle, mut busy] = connections();
        assert!(poll!(pin!(idle.read(pending::<()>()))).is_pending());
        assert!(idle.is_listening());
        assert!(reads(&mut busy).await);
    }

    #[tokio::test]
    async fn nothing_is_read_before_there_is_room_for_the_frame_of_another() {
        let [mut first, mut second] = connections();
        assert!(reads(&mut first).await);
        assert!(!reads(&mut second).await);
        assert!(!second.is_listening());
        first.end_turn();
        assert!(reads(&mut second).await);
        assert!(!second.was_awaited(), "it arrived before");
    }

    #[tokio::test]
    async fn turns_go_to_the_longest_waiting() {
        let [mut first, mut second, mut third] = connections();
        assert!(reads(&mut first).await);
        assert!(!reads(&mut second).await);
        assert!(!reads(&mut third).await);
        first.end_turn();
        assert!(!reads(&mut first).await);
        assert!(!reads(&mut third).await);
        assert!(reads(&mut second).await);
        second.end_turn();
        assert!(reads(&mut third).await);
    }

    #[tokio::test]
    async fn a_paused_connection_gives_up_the_turn_it_waited_for() {
        let [mut first, mut second, mut third] = connections();
        assert!(reads(&mut first).await);
        assert!(!reads(&mut second).await);
        assert!(!reads(&mut third).await);
        first.end_turn();
        second.pause();
        assert!(reads(&mut third).await);
    }
}
