//! The connection to the server: Disconnected → Connecting → Registering → Streaming, and back with a growing, jittered
//! delay after any error.

mod backoff;
mod batch_frame;
mod connect;
mod dial;
mod enroll;
mod error;
mod rotate;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pika_protocol::limits::{INTERVAL_MS_MAX, INTERVAL_MS_MIN};
use pika_protocol::{ErrorCode, Register};
use pika_shared::{Clock, chain};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::backoff::Backoff;
use self::connect::Connector;
pub use self::connect::TlsError;
pub use self::enroll::{EnrollError, Enrolled, Enrollment, enroll};
pub use self::error::{LinkError, Printable};
pub use self::rotate::{RotateError, rotate};
use self::session::{End, Session};
use crate::boot_clock::booted_at_ms;
use crate::collect::Host;
use crate::config::{Config, Endpoint};
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::state::ClockOffset;
use crate::throttle::{LOG_INTERVAL_MIN, Throttle};

/// Timeouts and delays of the link. Not configurable: only tests use other values.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Timeout of name resolution, TCP, TLS and the WebSocket upgrade together.
    pub connect_timeout: Duration,
    /// Timeout of the response to `register`.
    pub register_timeout: Duration,
    /// Timeout of sending one frame.
    pub send_timeout: Duration,
    /// Timeout of the last acknowledgements when the agent stops.
    pub flush_timeout: Duration,
    /// Upper bound of the first delay before a retry; it doubles with every attempt.
    pub retry_delay_first: Duration,
    /// Maximum of that upper bound.
    pub retry_delay_max: Duration,
    /// The delay after a refusal that is unlikely to change.
    pub refused_delay: Duration,
    /// The duration after which a connection counts as good and resets the delay.
    pub stable_after: Duration,
}

impl Timing {
    /// The values outside tests.
    pub const STANDARD: Timing = Timing {
        connect_timeout: Duration::from_secs(10),
        register_timeout: Duration::from_secs(10),
        send_timeout: Duration::from_secs(10),
        flush_timeout: Duration::from_secs(3),
        retry_delay_first: Duration::from_secs(1),
        retry_delay_max: Duration::from_secs(60),
        refused_delay: Duration::from_secs(300),
        stable_after: Duration::from_secs(60),
    };
}

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected,
    Connecting,
    Registering,
    Streaming,
}

/// The link of an enrolled agent.
pub struct Link {
    connector: Connector,
    identity: Identity,
    state_dir: PathBuf,
    register: Register,
    outbox: Arc<Outbox>,
    interval_ms: watch::Sender<u64>,
    heartbeat_interval: Duration,
    backlog_frame_interval: Duration,
    clock: Clock,
    timing: Timing,
    state: State,
    interval_log: Throttle,
}

impl Link {
    /// Creates a link that sends the samples in `outbox`, and passes the server's interval to the sampler through
    /// `interval_ms`.
    ///
    /// # Errors
    /// If TLS is needed and its certificates cannot be used.
    #[expect(clippy::too_many_arguments, reason = "everything is passed in; called once")]
    pub fn new(
        config: &Config,
        endpoint: Endpoint,
        identity: Identity,
        host: &Host,
        outbox: Arc<Outbox>,
        interval_ms: watch::Sender<u64>,
        clock: Clock,
        timing: Timing,
    ) -> Result<Link, TlsError> {
        Ok(Link {
            connector: Connector::new(
                endpoint,
                &config.tls.ca_file,
                identity.key_pin,
                timing.connect_timeout,
            )?,
            identity,
            state_dir: config.state_dir.clone(),
            register: register_message(host, &config.name, config.interval_ms),
            outbox,
            interval_ms,
            heartbeat_interval: Duration::from_millis(config.heartbeat_interval_ms),
            backlog_frame_interval: Duration::from_millis(config.outbox.backlog_frame_interval_ms),
            clock,
            timing,
            state: State::Disconnected,
            interval_log: Throttle::new(LOG_INTERVAL_MIN),
        })
    }

    /// Keeps the agent connected until `shutdown`, then flushes the outbox and closes the connection.
    pub async fn run(mut self, shutdown: CancellationToken) {
        warn_of_plain_text(self.connector.endpoint());
        let mut backoff = Backoff::new(self.timing);
        loop {
            let started = Instant::now();
            self.reload_identity();
            let result = self.connect_and_stream(&shutdown).await;
            self.outbox.connection_lost();
            self.enter(State::Disconnected);
            if shutdown.is_cancelled() {
                return;
            }
            if self.timing.stable_after <= started.elapsed() {
                backoff.reset();
            }
            let delay = match result {
                // Only a shutdown ends a session without an error.
                Ok(()) => backoff.next_delay(),
                Err(error) => self.log_and_choose_delay(&error, &mut backoff),
            };
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn connect_and_stream(&mut self, shutdown: &CancellationToken) -> Result<(), LinkError> {
        let (mut session, ack, offset) = {
            let establish = async {
                self.enter(State::Connecting);
                let secret = Some(&self.identity.secret);
                let (socket, local_address) = self.connector.connect(secret).await?;
                self.enter(State::Registering);
                let mut session =
                    Session::new(socket, self.clock.clone(), self.timing, self.heartbeat_interval);
                self.register.ip = local_address.to_string();
                self.register.interval_ms = Some(*self.interval_ms.borrow());
                // This completes an interrupted rotation.
                let next_secret = self.identity.next_secret.as_ref();
                self.register.secret = next_secret.map(|secret| secret.expose_secret().to_owned());
                // Read before the message is stamped, as the offset belongs to the clock that stamps it.
                let booted_at_ms = booted_at_ms(self.clock.now());
                let ack = session.register(self.register.clone()).await?;
                self.identity.confirm(ack.secret.as_deref());
                let offset = ClockOffset { ms: ack.clock_offset_ms, booted_at_ms };
                Ok((session, ack, offset))
            };
            tokio::select! {
                established = establish => established?,
                () = shutdown.cancelled() => return Ok(()),
            }
        };

        self.enter(State::Streaming);
        info!(server = %self.connector.endpoint(), agent = %Printable::new(&ack.agent_id), "connected");
        if ack.agent_id != self.identity.id {
            warn!(agent = %Printable::new(&ack.agent_id), "the server knows this agent by another id");
        }
        self.outbox.set_clock_offset(offset);
        let end = session
            .stream(&self.outbox, self.backlog_frame_interval, shutdown, |config| {
                if let Some(ms) = config.clock_offset_ms {
                    let booted_at_ms = booted_at_ms(self.clock.now());
                    self.outbox.set_clock_offset(ClockOffset { ms, booted_at_ms });
                }
                if let Some(wanted_ms) = config.interval_ms {
                    let interval_ms = wanted_ms.clamp(INTERVAL_MS_MIN, INTERVAL_MS_MAX);
                    let is_new = self
                        .interval_ms
                        .send_if_modified(|current| std::mem::replace(current, interval_ms) != interval_ms);
                    if is_new && let Some(count) = self.interval_log.note(1) {
                        info!(interval_ms, wanted_ms, count, "the server set another interval");
                    }
                }
            })
            .await;
        match end {
            End::Shutdown => Ok(()),
            End::Failed(error) => Err(error),
        }
    }

    /// Reloads the identity, which `pika-agent rotate-secret` or `enroll` may have changed, and returns whether it has
    /// changed.
    fn reload_identity(&mut self) -> bool {
        match Identity::load(&self.state_dir) {
            Ok(identity) if identity.id == self.identity.id && !identity.is_same(&self.identity) => {
                self.identity = identity;
                true
            }
            Ok(_) => false,
            // It existed at startup; keep using the one in memory.
            Err(error) => {
                debug!(error = %chain(&error), "the identity cannot be reloaded");
                false
            }
        }
    }

    fn log_and_choose_delay(&mut self, error: &LinkError, backoff: &mut Backoff) -> Duration {
        let chain = chain(error);
        let is_identity_refused =
            matches!(error, LinkError::Refused { code: ErrorCode::Unauthorized | ErrorCode::Superseded, .. });
        if is_identity_refused && self.reload_identity() {
            info!(error = %chain, "this agent's secret is being replaced");
            return backoff.next_delay();
        }
        match error {
            LinkError::Refused { code: ErrorCode::Unauthorized, .. } => {
                let delay = backoff.refused_delay();
                error!(
                    error = %chain,
                    retry_seconds = delay.as_secs(),
                    "the server does not accept this agent's identity; enroll it again with \
                     `pika-agent enroll --replace`. Samples are kept meanwhile"
                );
                delay
            }
            LinkError::Refused { code: ErrorCode::Superseded, .. } => {
                let delay = backoff.refused_delay();
                error!(
                    error = %chain,
                    retry_seconds = delay.as_secs(),
                    "another machine reports with this agent's identity; a cloned machine must be enrolled \
                     again with `pika-agent enroll --replace`"
                );
                delay
            }
            _ => {
                let delay = backoff.next_delay();
                warn!(error = %chain, retry_ms = delay.as_millis(), "not connected");
                delay
            }
        }
    }

    fn enter(&mut self, state: State) {
        if self.state != state {
            debug!(from = ?self.state, to = ?state, "link");
            self.state = state;
        }
    }
}

fn register_message(host: &Host, name: &str, interval_ms: u64) -> Register {
    Register {
        name: name.to_owned(),
        hostname: host.hostname.clone(),
        ip: String::new(),
        os: host.os.clone(),
        arch: host.arch.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: None,
        secret: None,
        interval_ms: Some(interval_ms),
        facts: Box::new(host.facts.clone()),
    }
}

fn warn_of_plain_text(endpoint: &Endpoint) {
    if !endpoint.is_tls && !endpoint.is_loopback() {
        warn!(server = %endpoint, "the connection is not encrypted: the agent's secret is sent in clear text. Use https://");
    }
}
