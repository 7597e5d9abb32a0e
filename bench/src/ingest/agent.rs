//! A simulated agent: a task that speaks the protocol over its own connection, and reconnects when that breaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::{AgentMessage, Register, ServerMessage};
use pika_shared::Clock;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::frames::{FrameMaker, frame};
use super::outbox::Outbox;
use super::tally::{Phase, Tally};
use crate::error::BenchError;

/// Number of agents per source address, since each address has its own ports.
const AGENTS_PER_ADDRESS: u32 = 2_000;
/// Size of the read buffer; acknowledgements are short.
const READ_BUFFER_BYTES: usize = 1_024;
/// Timeout of connecting and registering, as in `pika-agent`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The bounds of the delay before a retry, which doubles with every attempt, as in `pika-agent`.
const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);

/// What agents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// No samples are taken; existing ones are still sent.
    Quiet,
    /// A sample is taken at every interval.
    Interval,
    /// The agents below a number send frames as fast as they are acknowledged.
    ClosedLoop { agents: u32, samples_per_frame: u16, frames_in_flight: u16 },
    /// Agents stop.
    Stop,
}

/// The current order to all agents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) mode: Mode,
    pub(super) phase: Phase,
    /// Every increment cuts all connections without a close handshake.
    pub(super) cuts: u32,
}

/// State shared by all agents.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) server: SocketAddr,
    pub(super) frames: FrameMaker,
    pub(super) interval: Duration,
    pub(super) samples_per_frame: u16,
    pub(super) clock: Clock,
    pub(super) tally: Tally,
}

type Socket = WebSocketStream<TcpStream>;

/// Why a connection ended.
enum End {
    Stop,
    Cut,
    Broken,
}

/// A simulated agent.
pub(super) struct Agent {
    shared: Arc<Shared>,
    orders: watch::Receiver<Order>,
    number: u32,
    outbox: Outbox,
    next_sample_at: Instant,
    is_reporting: bool,
    cuts: u32,
}

/// Returns the secret of an agent, in a database that exists only during the benchmark.
pub(super) fn secret_of(number: u32) -> String {
    format!("pika_agent_bench_{number:05}")
}

/// Returns the name of an agent.
pub(super) fn name_of(number: u32) -> String {
    format!("bench-{number:05}")
}

impl Agent {
    /// Creates an agent that takes its first sample at `first_sample_at`.
    pub(super) fn new(
        shared: Arc<Shared>,
        orders: watch::Receiver<Order>,
        number: u32,
        first_sample_at: Instant,
    ) -> Self {
        let outbox = Outbox::default();
        let next_sample_at = first_sample_at;
        Self { shared, orders, number, outbox, next_sample_at, is_reporting: false, cuts: 0 }
    }

    /// Connects at `start_at` and stays connected until stopped.
    pub(super) async fn run(mut self, start_at: Instant) {
        let mut attempt_at = start_at;
        let mut n_attempts = 0;
        loop {
            if self.wait_until(attempt_at).await.is_err() {
                return;
            }
            n_attempts += 1;
            let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
            let tally = &self.shared.tally;
            match connected {
                Ok(Ok(socket)) => {
                    tally.registered.fetch_add(1, Ordering::Relaxed);
                    let end = Box::pin(self.stream(socket)).await;
                    let tally = &self.shared.tally;
                    tally.registered.fetch_sub(1, Ordering::Relaxed);
                    tally.ended.fetch_add(1, Ordering::Relaxed);
                    self.outbox.connection_lost();
                    match end {
                        End::Stop => return,
                        End::Cut => {}
                        End::Broken => {
                            tally.disconnects.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    n_attempts = 1;
                }
                failed => {
                    tally.failed_attempts.fetch_add(1, Ordering::Relaxed);
                    tally.first_failure.get_or_init(|| match failed {
                        Ok(Err(error)) => pika_shared::chain(&error).to_string(),
                        Ok(Ok(_)) | Err(_) => "no answer in time".to_owned(),
                    });
                }
            }
            attempt_at = Instant::now() + retry_delay(n_attempts, rand::random());
        }
    }

    /// Waits, unless the agent is stopped first.
    async fn wait_until(&mut self, at: Instant) -> Result<(), ()> {
        loop {
            tokio::select! {
                () = sleep_until(at) => return Ok(()),
                changed = self.orders.changed() => {
                    if changed.is_err() || self.orders.borrow_and_update().mode == Mode::Stop {
                        return Err(());
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Socket, BenchError> {
        self.cuts = self.orders.borrow_and_update().cuts;
        let local = TcpSocket::new_v4()?;
        local.bind(SocketAddr::new(source_address(self.number).into(), 0))?;
        let stream = local.connect(self.shared.server).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let url = format!("ws://{}/ws/agent", self.shared.server);
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        let register = Register {
            name: name_of(self.number),
            hostname: name_of(self.number),
            ip: "192.0.2.1".to_owned(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: Some(secret_of(self.number)),
            ..Register::default()
        };
        let register = frame(AgentMessage::Register(register), self.shared.clock.now())?;
        socket.send(Message::text(register)).await?;
        while let Some(message) = socket.next().await.transpose()? {
            match server_message(&message) {
                Some(ServerMessage::RegisterAck(_)) => return Ok(socket),
                Some(ServerMessage::RegisterError(refusal)) => {
                    return Err(BenchError::Answer(format!("{}: {}", refusal.code, refusal.message)));
                }
                Some(_) | None => {}
            }
        }
        Err(BenchError::Answer("by closing the connection".to_owned()))
    }

    /// Follows the current order as long as the connection lasts.
    async fn stream(&mut self, mut socket: Socket) -> End {
        loop {
            let order = *self.orders.borrow_and_update();
            if order.mode == Mode::Stop {
                return End::Stop;
            }
            if order.cuts != self.cuts {
                return End::Cut;
            }
            self.take_samples(order);
            if self.send_due(&mut socket, order).await.is_err() {
                return End::Broken;
            }
            let sample_due = (order.mode == Mode::Interval).then_some(self.next_sample_at);
            let wake_at = sample_due.into_iter().chain(self.outbox.backlog_due()).min();
            tokio::select! {
                changed = self.orders.changed() => if changed.is_err() {
                    return End::Stop;
                },
                message = socket.next() => match message {
                    Some(Ok(message)) => self.receive(&message),
                    Some(Err(_)) | None => return End::Broken,
                },
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
        }
    }

    /// Takes the samples that are due, including those due while there was no connection.
    fn take_samples(&mut self, order: Order) {
        let was_reporting = std::mem::replace(&mut self.is_reporting, order.mode == Mode::Interval);
        if !self.is_reporting {
            return;
        }
        let now = Instant::now();
        if !was_reporting {
            // Missed samples are skipped, and agents stay spread over the interval.
            self.next_sample_at = next_in_step(self.next_sample_at, now, self.shared.interval);
        }
        while self.next_sample_at <= now {
            let late_ms = i64::try_from((now - self.next_sample_at).as_millis()).unwrap_or(0);
            let timestamp = self.outbox.take_sample(self.shared.clock.now() - late_ms);
            self.shared.tally.taken(self.number, order.phase, &[timestamp]);
            self.next_sample_at += self.shared.interval;
        }
    }

    async fn send_due(&mut self, socket: &mut Socket, order: Order) -> Result<(), BenchError> {
        while let Some(timestamps) = self.outbox.next_frame(self.shared.samples_per_frame.into()) {
            self.send(socket, order.phase, timestamps).await?;
        }
        if let Mode::ClosedLoop { agents, samples_per_frame, frames_in_flight } = order.mode
            && self.number < agents
        {
            while self.outbox.n_in_flight() < frames_in_flight.into() {
                let timestamps = self.outbox.take_samples(samples_per_frame, self.shared.clock.now());
                self.shared.tally.taken(self.number, order.phase, &timestamps);
                self.send(socket, order.phase, timestamps).await?;
            }
        }
        Ok(())
    }

    async fn send(
        &mut self,
        socket: &mut Socket,
        phase: Phase,
        timestamps: Vec<i64>,
    ) -> Result<(), BenchError> {
        let now = self.shared.clock.now();
        let seq = self.outbox.next_seq();
        let text = self.shared.frames.batch(self.number, seq, &timestamps, now);
        self.outbox.sending(timestamps, phase);
        Ok(socket.send(Message::text(text)).await?)
    }

    fn receive(&mut self, message: &Message) {
        let tally = &self.shared.tally;
        match server_message(message) {
            Some(ServerMessage::Ack(ack)) => {
                if let Some(frame) = self.outbox.acknowledge(ack.seq) {
                    tally.acknowledged(frame.phase, frame.samples, frame.latency);
                }
            }
            Some(ServerMessage::Error(refusal)) => {
                tally.refusals.fetch_add(1, Ordering::Relaxed);
                tally.first_refusal.get_or_init(|| format!("{}: {}", refusal.code, refusal.message));
            }
            Some(
                ServerMessage::RegisterAck(_) | ServerMessage::RegisterError(_) | ServerMessage::Config(_),
            )
            | None => {}
        }
    }
}

fn server_message(message: &Message) -> Option<ServerMessage> {
    match message {
        Message::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Returns the agent's source address; loopback has many.
fn source_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + number / AGENTS_PER_ADDRESS)
}

/// Returns the first time after `now` that is a whole number of intervals after `due`.
fn next_in_step(due: Instant, now: Instant, interval: Duration) -> Instant {
    let Some(behind) = now.checked_duration_since(due) else { return due };
    let rest_ns = behind.as_nanos() % interval.as_nanos().max(1);
    now + interval.saturating_sub(Duration::from_nanos(u64::try_from(rest_ns).unwrap_or(0)))
}

/// Returns a random delay up to a bound that doubles with every attempt; `random` is from 0 to 1.
fn retry_delay(n_attempts: u32, random: f64) -> Duration {
    let factor = 2_u32.saturating_pow(n_attempts.saturating_sub(1));
    let bound = RETRY_DELAY_FIRST.saturating_mul(factor).min(RETRY_DELAY_MAX);
    bound.mul_f64(random).max(RETRY_DELAY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_spread_over_addresses() {
        assert_eq!(source_address(0), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source_address(AGENTS_PER_ADDRESS - 1), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source_address(AGENTS_PER_ADDRESS), Ipv4Addr::new(127, 0, 0, 3));
        assert!(source_address(u32::MAX / 2).is_loopback());
    }

    #[tokio::test]
    async fn an_agent_that_paused_stays_in_step() {
        let (due, interval) = (Instant::now(), Duration::from_secs(5));
        let next = |now: Duration| next_in_step(due, due + now, interval) - due;
        assert_eq!(next(Duration::from_secs(12)), Duration::from_secs(15));
        assert_eq!(next(Duration::from_secs(10)), Duration::from_secs(15));
        assert_eq!(next_in_step(due + interval, due, interval), due + interval, "not due yet");
    }

    #[test]
    fn delays_grow_up_to_a_bound() {
        assert_eq!(retry_delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(retry_delay(3, 0.5), Duration::from_secs(2));
        assert_eq!(retry_delay(40, 1.0), RETRY_DELAY_MAX);
        assert_eq!(retry_delay(1, 0.0), RETRY_DELAY_MIN);
    }
}
