//! The running agent: starts sampler, outbox and link, and stops them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::boot_clock::booted_at_ms;
use crate::collect::{Collectors, Host};
use crate::config::{Config, Endpoint, EndpointError};
use crate::identity::Identity;
use crate::link::{Link, Timing, TlsError};
use crate::outbox::Outbox;
use crate::sampler::Sampler;

/// Timeout for stopping the tasks other than the link.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// An enrolled agent that is not running yet.
pub struct Agent {
    /// The settings.
    pub config: Config,
    /// The agent's id and secret.
    pub identity: Identity,
    /// The wall clock.
    pub clock: Clock,
    /// The link's timeouts and delays; [`Timing::STANDARD`] outside tests.
    pub timing: Timing,
}

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AgentError {
    #[error("the server's address is not usable")]
    Server { source: EndpointError },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot use the state directory")]
    StateDir { source: io::Error },
    #[error("taking samples ended unexpectedly")]
    Sampler { source: tokio::task::JoinError },
}

impl Agent {
    /// Takes samples and reports them until `shutdown`. Then stops sampling, gives the server a few seconds to
    /// acknowledge unacknowledged samples, and syncs the rest to disk.
    ///
    /// # Errors
    /// If the agent cannot start, or if sampling ends unexpectedly.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AgentError> {
        let Agent { config, identity, clock, timing } = self;
        let server = if config.server.is_empty() { &identity.server } else { &config.server };
        let endpoint = Endpoint::parse(server).map_err(|source| AgentError::Server { source })?;
        let now_ms = clock.now();
        let (outbox, baseline) =
            Outbox::open(&config.state_dir, &config.outbox, now_ms, booted_at_ms(now_ms))
                .map_err(|source| AgentError::StateDir { source })?;
        let outbox = Arc::new(outbox);
        let (interval_sender, interval) = watch::channel(config.interval_ms);
        let collectors = Collectors::new(&config, baseline);
        let sampler = Sampler::new(
            collectors,
            Arc::clone(&outbox),
            interval,
            config.slow_interval_ms,
            clock.clone(),
            &identity.id,
        );
        let agent_id = identity.id.clone();
        let link = Link::new(
            &config,
            endpoint,
            identity,
            &Host::detect(),
            Arc::clone(&outbox),
            interval_sender,
            clock,
            timing,
        )?;

        info!(
            agent = agent_id,
            version = env!("CARGO_PKG_VERSION"),
            interval_ms = config.interval_ms,
            "started"
        );
        let tasks = TaskTracker::new();
        let syncing = CancellationToken::new();
        let sync_outbox = Arc::clone(&outbox);
        let sync_shutdown = syncing.clone();
        tasks.spawn(async move { sync_outbox.sync_periodically(sync_shutdown).await });
        let sampler_shutdown = shutdown.clone();
        let sampling = tasks.spawn(async move {
            // An agent that takes no samples must not look alive, so the agent stops when sampling ends for any reason.
            let _guard = sampler_shutdown.clone().drop_guard();
            sampler.run(sampler_shutdown).await;
        });

        link.run(shutdown).await;
        // Only now, so that samples not acknowledged in time are on disk.
        syncing.cancel();
        tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
            warn!("some tasks did not stop in time");
            return Ok(());
        }
        let counts = outbox.counts();
        info!(taken = counts.taken, dropped = counts.dropped, unacknowledged = counts.open, "stopped");
        sampling.await.map_err(|source| AgentError::Sampler { source })
    }
}
