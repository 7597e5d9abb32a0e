//! The fleet of simulated agents: enrolls, starts and controls them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_util::task::TaskTracker;

use super::agent::{Agent, Mode, Order, Shared, name_of, secret_of};
use super::tally::{Phase, Tally};
use crate::error::BenchError;

/// How often conditions are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running fleet.
pub(super) struct Fleet {
    shared: Arc<Shared>,
    n_agents: u32,
    orders: watch::Sender<Order>,
    tasks: TaskTracker,
    /// Timeout for anything that is waited for.
    timeout: Duration,
}

/// Creates agents with these numbers, as if they had been enrolled.
pub(super) async fn enroll(client: &Client, n_agents: u32, now: i64) -> Result<(), BenchError> {
    let (names, secrets): (Vec<_>, Vec<_>) =
        (0..n_agents).map(|number| (name_of(number), secret_of(number))).unzip();
    let sql = "INSERT INTO agents (id, name, hostname, ip, os, arch, version, secret_hash, created_at, updated_at) \
         SELECT gen_random_uuid(), name, name, '', '', '', '', sha256(secret::bytea), $3, $3 \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS agent (name, secret, number) ORDER BY number";
    client.execute(sql, &[&names, &secrets, &now]).await?;
    client.batch_execute("VACUUM (ANALYZE) agents").await?;
    Ok(())
}

impl Fleet {
    /// Starts agents, which connect one after the other at this rate.
    pub(super) fn start(shared: Shared, n_agents: u32, connects_per_second: u32, timeout: Duration) -> Self {
        let (orders, received) = watch::channel(Order { mode: Mode::Quiet, phase: Phase::WarmUp, cuts: 0 });
        let shared = Arc::new(shared);
        let tasks = TaskTracker::new();
        let now = Instant::now();
        for number in 0..n_agents {
            // Spread over the interval, like a real fleet.
            let first_sample_at = now + shared.interval.mul_f64(f64::from(number) / f64::from(n_agents));
            let agent = Agent::new(Arc::clone(&shared), received.clone(), number, first_sample_at);
            let start_at = now + Duration::from_secs_f64(f64::from(number) / f64::from(connects_per_second));
            tasks.spawn(agent.run(start_at));
        }
        tasks.close();
        Self { shared, n_agents, orders, tasks, timeout }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// Tells all agents what to do from now on.
    pub(super) fn order(&self, mode: Mode, phase: Phase) {
        self.orders.send_modify(|order| *order = Order { mode, phase, ..*order });
    }

    /// Cuts all connections at once, without a close handshake, and waits until they are gone.
    pub(super) async fn cut(&self) -> Result<(), BenchError> {
        let ended = &self.tally().ended;
        let ended_then = ended.load(Ordering::Relaxed) + u64::from(self.n_agents);
        self.orders.send_modify(|order| order.cuts += 1);
        let is_complete = || ended_then <= ended.load(Ordering::Relaxed);
        self.wait_for("the connections to end", Instant::now(), is_complete).await
    }

    /// Waits until all agents are registered. Returns the time since `since`.
    pub(super) async fn registered(&self, since: Instant) -> Result<Duration, BenchError> {
        let tally = self.tally();
        let is_complete = || tally.registered.load(Ordering::Relaxed) == self.n_agents as usize;
        self.wait_for("all agents to be registered", since, is_complete).await?;
        Ok(since.elapsed())
    }

    /// Waits until all samples are acknowledged. Returns the time since `since`.
    pub(super) async fn acknowledged(&self, since: Instant) -> Result<Duration, BenchError> {
        self.wait_for("acknowledgements", Instant::now(), || self.tally().is_acknowledged()).await?;
        Ok(since.elapsed())
    }

    /// Stops all agents.
    pub(super) async fn stop(&self) {
        self.order(Mode::Stop, Phase::Storm);
        self.tasks.wait().await;
    }

    async fn wait_for(
        &self,
        what: &str,
        since: Instant,
        is_met: impl Fn() -> bool,
    ) -> Result<(), BenchError> {
        while !is_met() {
            if self.timeout <= since.elapsed() {
                let tally = self.tally();
                let registered = tally.registered.load(Ordering::Relaxed);
                let failed = tally.failed_attempts.load(Ordering::Relaxed);
                let why = tally.first_failure.get().map_or(String::new(), |why| format!(" ({why})"));
                return Err(BenchError::Answer(format!(
                    "too slowly: waited {} s for {what}; {registered} of {} agents are registered, {failed} attempts \
                     failed{why}, {} samples are not acknowledged",
                    self.timeout.as_secs(),
                    self.n_agents,
                    tally.outstanding(),
                )));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}
