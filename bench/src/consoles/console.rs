//! One open console: what the page asks for, as often as it does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::ACCEPT_ENCODING;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Api;
use super::outcome::Request;
use crate::error::BenchError;
use crate::timing::Timing;

/// How often the page reads its lists again, the number of alerts, and a machine's newest values.
const LISTS_INTERVAL: Duration = Duration::from_secs(60);
const ALERTS_INTERVAL: Duration = Duration::from_secs(15);
const LATEST_INTERVAL: Duration = Duration::from_secs(5);

const EVENTS: &str = "/api/events?kinds=metrics,status,alert";
/// What the fleet's page reads once its stream is open.
const LISTS: [(&str, &str); 3] = [
    ("list of machines", "/api/agents"),
    ("newest values", "/api/agents/metrics/latest"),
    ("small charts", "/api/agents/metrics/sparklines?metric=cpuUsagePercent&points=30"),
];
const ALERTS: (&str, &str) = ("number of alerts", "/api/alerts/summary");
const FAMILIES: [&str; 5] = ["cpu", "memory", "disk", "network", "load"];

/// What all consoles have measured.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: Mutex<BTreeMap<&'static str, Measured>>,
    event_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Measured {
    times: Vec<Duration>,
    bytes: u64,
    /// Answers that tell to come back later.
    refused: u64,
}

impl Tally {
    fn add(&self, name: &'static str, time: Duration, bytes: u64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = requests.entry(name).or_default();
        measured.times.push(time);
        measured.bytes += bytes;
    }

    fn refuse(&self, name: &'static str) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().refused += 1;
    }

    /// Returns what each kind of request took.
    pub(super) fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = |(name, measured): (&&'static str, &Measured)| Request {
            name,
            timing: Timing::of(measured.times.clone()),
            bytes: measured.bytes / (measured.times.len() as u64).max(1),
            refused: measured.refused,
        };
        requests.iter().map(request).collect()
    }

    /// Returns the size of all events, in KiB.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(super) fn event_kib(&self) -> f64 {
        self.event_bytes.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

/// An open console.
pub(super) struct Console {
    api: Api,
    /// The machine whose page is open, instead of the fleet's alone.
    agent: Option<String>,
    tally: Arc<Tally>,
}

impl Console {
    pub(super) fn new(api: Api, agent: Option<String>, tally: Arc<Tally>) -> Self {
        Self { api, agent, tally }
    }

    /// Opens after a delay, and stays open.
    ///
    /// # Errors
    /// If a request fails, or the stream ends.
    pub(super) async fn run(self, delay: Duration) -> Result<(), BenchError> {
        sleep(delay).await;
        let started_at = Instant::now();
        let url = format!("{}{EVENTS}", self.api.base);
        let request = self.api.http.get(url).bearer_auth(&self.api.token);
        let mut events = request.send().await?.error_for_status()?;
        self.tally.add("stream of events", started_at.elapsed(), 0);
        let follow = async {
            while let Some(chunk) = events.chunk().await? {
                self.tally.event_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
            Err(BenchError::Answer("the end of a stream of events".to_owned()))
        };
        tokio::select! {
            ended = follow => ended,
            ended = self.ask() => ended,
        }
    }

    /// Asks for everything but events.
    async fn ask(&self) -> Result<(), BenchError> {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut lists, mut alerts, mut latest) =
            (every(LISTS_INTERVAL), every(ALERTS_INTERVAL), every(LATEST_INTERVAL));
        loop {
            tokio::select! {
                _ = lists.tick() => self.read_lists().await?,
                _ = alerts.tick() => self.get(ALERTS.0, ALERTS.1).await?,
                _ = latest.tick() => if let Some(agent) = &self.agent {
                    self.get("newest values of a machine", &format!("/api/agents/{agent}/metrics/latest")).await?;
                },
            }
        }
    }

    async fn read_lists(&self) -> Result<(), BenchError> {
        for (name, path) in LISTS {
            self.get(name, path).await?;
        }
        let Some(agent) = &self.agent else { return Ok(()) };
        for family in FAMILIES {
            let path = format!("/api/agents/{agent}/metrics?type={family}&points=600");
            self.get("chart of a machine", &path).await?;
        }
        Ok(())
    }

    /// Reads an answer as a browser does, compressed.
    async fn get(&self, name: &'static str, path: &str) -> Result<(), BenchError> {
        let started_at = Instant::now();
        let request = self.api.http.get(format!("{}{path}", self.api.base)).bearer_auth(&self.api.token);
        let response = request.header(ACCEPT_ENCODING, "gzip").send().await?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            self.tally.refuse(name);
            return Ok(());
        }
        let bytes = response.error_for_status()?.bytes().await?.len();
        self.tally.add(name, started_at.elapsed(), bytes as u64);
        Ok(())
    }
}
