//! Agents that stress the ingest path: they keep what is not acknowledged and send it again, in newly packed frames,
//! over one connection after another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::account::{Account, RowCounts, stored};
use super::client::{AgentClient, batch, now, sample};
use super::{Random, TestServer, eventually};

/// Maximum unacknowledged frames of an agent.
const FRAMES_IN_FLIGHT_MAX: usize = 8;
const SAMPLES_PER_FRAME_MAX: u64 = 20;
/// Maximum time between two samples.
const INTERVAL_MS_MAX: u64 = 8;
/// One in this many samples is late, and so is written separately.
const ONE_LATE_OF: u64 = 16;
const LATE_BY_MS: i64 = 3_600_000;
/// Time between two attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The agents, one task each.
pub(crate) struct Fleet {
    seed: u64,
    agents: Vec<Agent>,
    stopping: CancellationToken,
}

struct Agent {
    id: String,
    account: Arc<Mutex<Account>>,
    task: JoinHandle<()>,
}

/// The state of an agent's task.
struct Sender {
    address: String,
    secret: String,
    account: Arc<Mutex<Account>>,
    random: Random,
    stopping: CancellationToken,
    last_ts: i64,
    next_seq: u64,
}

impl Fleet {
    /// The minimum spacing of samples that the server must accept: none.
    pub(crate) const SPACING_MS: i64 = 0;

    /// Enrolls agents at `server` and starts them; they report to `address`.
    pub(crate) async fn start(
        server: &TestServer,
        address: &str,
        n_agents: usize,
        random: &mut Random,
    ) -> Self {
        let stopping = CancellationToken::new();
        let mut agents = Vec::new();
        for number in 0..n_agents {
            let (mut connection, id, secret) = server.enroll(&format!("web-{number}")).await;
            connection.hang_up().await;
            let account = Arc::new(Mutex::new(Account::default()));
            let sender = Sender {
                address: address.to_owned(),
                secret,
                account: Arc::clone(&account),
                random: random.fork(),
                stopping: stopping.clone(),
                last_ts: now() - 60_000,
                next_seq: 1,
            };
            agents.push(Agent { id, account, task: tokio::spawn(sender.run()) });
        }
        Self { seed: random.seed(), agents, stopping }
    }

    /// Number of acknowledged samples.
    pub(crate) fn n_acknowledged(&self) -> usize {
        self.agents.iter().map(|agent| agent.account.lock().unwrap().acknowledged.len()).sum()
    }

    /// Waits until `count` more samples are acknowledged.
    pub(crate) async fn acknowledged(&self, count: usize) {
        let wanted = self.n_acknowledged() + count;
        let what = format!("{count} samples more are acknowledged (PIKA_TEST_SEED={})", self.seed);
        eventually(&what, || async { (wanted <= self.n_acknowledged()).then_some(()) }).await;
    }

    /// Returns what happened to the samples of every agent.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.agents.iter().map(|agent| agent.account.lock().unwrap().clone()).collect()
    }

    /// Checks the property of [`Account`] while the agents keep running.
    pub(crate) async fn check(&self, database_url: &str) {
        for agent in &self.agents {
            let acknowledged = agent.account.lock().unwrap().acknowledged.clone();
            let stored = stored(database_url, &agent.id).await;
            let account = agent.account.lock().unwrap().clone();
            account.check(&acknowledged, &stored, is_whole, &self.context(agent));
        }
    }

    /// Takes no more samples, waits until all are acknowledged, and checks that each is stored once.
    pub(crate) async fn finish(self, database_url: &str) {
        self.stopping.cancel();
        let what = format!("all samples are acknowledged (PIKA_TEST_SEED={})", self.seed);
        eventually(&what, || async {
            self.agents.iter().all(|agent| agent.task.is_finished()).then_some(())
        })
        .await;
        for agent in &self.agents {
            let account = agent.account.lock().unwrap().clone();
            assert!(account.held.is_empty() && 0 < account.n_taken());
            let stored = stored(database_url, &agent.id).await;
            account.check_all_stored(&stored, is_whole, &self.context(agent));
        }
    }

    fn context(&self, agent: &Agent) -> String {
        format!("PIKA_TEST_SEED={}, agent {}", self.seed, agent.id)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for agent in &self.agents {
            agent.task.abort();
        }
    }
}

/// Returns whether these are all rows of [`sample`].
fn is_whole(rows: &RowCounts) -> bool {
    *rows == [1, 1, 1, 2, 1]
}

impl Sender {
    /// Runs until it is told to stop and has nothing left to send.
    async fn run(mut self) {
        while !self.is_done() {
            match AgentClient::try_register(&self.address, &self.secret, "web").await {
                Some(connection) => self.stream(connection).await,
                None => {
                    self.take_sample();
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.stopping.is_cancelled() && self.account.lock().unwrap().held.is_empty()
    }

    async fn stream(&mut self, mut connection: AgentClient) {
        let mut open: VecDeque<i64> = self.account.lock().unwrap().held.iter().copied().collect();
        let mut in_flight: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
        while !self.is_done() {
            while in_flight.len() < FRAMES_IN_FLIGHT_MAX && !open.is_empty() {
                let n_samples = 1 + self.random.below(SAMPLES_PER_FRAME_MAX);
                let packed: BTreeSet<i64> = (0..n_samples).map_while(|_| open.pop_front()).collect();
                let samples: Vec<Value> = packed.iter().map(|ts| sample(*ts)).collect();
                let seq = self.next_seq;
                self.next_seq += 1;
                in_flight.insert(seq, packed);
                if !connection.try_send_text(&batch(seq, json!(samples)).to_string()).await {
                    return;
                }
            }
            let interval = Duration::from_millis(1 + self.random.below(INTERVAL_MS_MAX));
            tokio::select! {
                message = connection.receive() => match message {
                    Some(message) if message["type"] == "ack" => {
                        let seq = message["data"]["seq"].as_u64().unwrap();
                        self.acknowledge(in_flight.remove(&seq).unwrap_or_default());
                    }
                    Some(_) => {}
                    None => return,
                },
                () = tokio::time::sleep(interval) => open.extend(self.take_sample()),
            }
        }
        connection.close().await;
    }

    fn take_sample(&mut self) -> Option<i64> {
        if self.stopping.is_cancelled() {
            return None;
        }
        self.last_ts += 1;
        let is_late = self.random.below(ONE_LATE_OF) == 0;
        let ts = if is_late { self.last_ts - LATE_BY_MS } else { self.last_ts };
        self.account.lock().unwrap().held.insert(ts);
        Some(ts)
    }

    fn acknowledge(&self, samples: BTreeSet<i64>) {
        let mut account = self.account.lock().unwrap();
        for ts in samples {
            account.held.remove(&ts);
            account.acknowledged.insert(ts);
        }
    }
}
