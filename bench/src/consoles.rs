//! `pika-bench consoles`: many people have the web console open on a large fleet: what their requests take, and what they
//! cost the server.

mod console;
mod outcome;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pika_server::domain::tier::HOUR_MS;
use pika_shared::Clock;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::console::{Console, Tally};
use self::outcome::{ConsolesReport, Load};
use crate::database::{FreshDatabase, NewDatabaseOptions};
use crate::descriptors;
use crate::error::BenchError;
use crate::fleet;
use crate::interrupt::Interrupt;
use crate::load::progress;
use crate::machine::Machine;
use crate::meter::{Consumption, Meter};
use crate::proc::Metered;
use crate::server::{ADMIN_PASSWORD, ServerProcess, sibling};

/// Maximum number of open files besides the agents' and the consoles' connections.
const OTHER_DESCRIPTORS_MAX: u64 = 200;
/// Connections that a console may have open at the same time, as a browser over HTTP/1.1.
const CONNECTIONS_PER_CONSOLE: u64 = 6;
/// How often resource usage is read.
const METER_INTERVAL: Duration = Duration::from_millis(500);
/// Timeout for the agents to be connected.
const CONNECTED_TIMEOUT: Duration = Duration::from_secs(180);
/// The share of agents that are waited for, in percent: some are offline on purpose.
const CONNECTED_PERCENT: u64 = 90;
/// The time within which the consoles are opened, and the share of the measurement that this takes at most.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
const OPENED_WITHIN_SHARE: u32 = 4;
/// Every so many consoles one is on a machine's page.
const ON_A_MACHINE_EVERY: u32 = 5;
const USER_PASSWORD: &str = "a password of eight or more";

/// Measures a server while many people have the web console open on a large fleet.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: NewDatabaseOptions,
    /// The server's program [default: next to the benchmark].
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Number of machines.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    agents: u32,
    /// Interval between their samples, in milliseconds.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    interval_ms: u64,
    /// Number of consoles, each of a user of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    consoles: u32,
    /// Duration of the measurement without consoles, and of the one with them, in seconds.
    #[arg(long, default_value_t = 75, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: u64,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the fleet and the consoles, and returns the report.
///
/// # Errors
/// If the database or the server cannot be used, or a request fails.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<String, BenchError> {
    let connections = u64::from(options.agents) + CONNECTIONS_PER_CONSOLE * u64::from(options.consoles);
    descriptors::allow(connections + OTHER_DESCRIPTORS_MAX)?;
    let program = sibling(options.server.as_ref(), "pika-server")?;
    let database = FreshDatabase::make(&options.database).await?;
    let report = interrupt.or(Box::pin(start(options, &program, &database, interrupt))).await;
    let report = database.close(report).await?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn start(
    options: &Options,
    program: &Path,
    database: &FreshDatabase,
    interrupt: &Interrupt,
) -> Result<ConsolesReport, BenchError> {
    progress("starting the server");
    let server = ServerProcess::start(program, &database.url, options.agents).await?;
    let api = Api::log_in(format!("http://{}", server.address), "admin", ADMIN_PASSWORD).await?;
    let body = json!({
        "name": "consoles",
        "maxUses": options.agents,
        "expiresAt": Clock::system().now() + HOUR_MS,
    });
    let enrollment: Value = api.post("/api/enrollments", &body).await?;
    let token = enrollment["token"].as_str().unwrap_or_default();
    let fleet = fleet::Options::live(&api.base, token, options.agents, options.interval_ms);
    progress(&format!("connecting {} machines", options.agents));
    let measured = tokio::select! {
        ended = fleet::run(&fleet, interrupt) => ended.and_then(|_| {
            Err(BenchError::Answer("nothing more to its machines".to_owned()))
        }),
        measured = measure(options, database, &server, &api) => measured,
    };
    let report = measured?;
    server.stop().await?;
    Ok(report)
}

async fn measure(
    options: &Options,
    database: &FreshDatabase,
    server: &ServerProcess,
    api: &Api,
) -> Result<ConsolesReport, BenchError> {
    connected(api, options.agents).await?;
    let metered = [Some(Metered::Process(server.pid)), database.postmaster().await?.map(Metered::Postgres)];
    let span = Duration::from_secs(options.seconds);
    progress("measuring without consoles");
    let meter = Meter::start(metered, METER_INTERVAL);
    sleep(span).await;
    let without = meter.finish().await?;

    progress(&format!("opening {} consoles", options.consoles));
    let users = users(api, options.consoles).await?;
    let rows = database.client.query("SELECT id::text FROM agents ORDER BY key", &[]).await?;
    let agents: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let tally = Arc::new(Tally::default());
    let mut consoles = JoinSet::new();
    for (number, user) in (0_u32..).zip(users) {
        let agent = (number % ON_A_MACHINE_EVERY == 0)
            .then(|| agents.get(number as usize * 7 % agents.len().max(1)).cloned())
            .flatten();
        let delay = OPENED_WITHIN.min(span / OPENED_WITHIN_SHARE) * number / options.consoles;
        consoles.spawn(Console::new(user, agent, Arc::clone(&tally)).run(delay));
    }
    let meter = Meter::start(metered, METER_INTERVAL);
    tokio::select! {
        () = sleep(span) => {}
        Some(ended) = consoles.join_next() => ended??,
    }
    let with = meter.finish().await?;
    consoles.shutdown().await;
    Ok(ConsolesReport {
        machine: Machine::inspect(&database.client, &database.info().await?).await?,
        agents: options.agents,
        interval_ms: options.interval_ms,
        consoles: options.consoles,
        seconds: options.seconds,
        server: Load::of(&without, &with, 0),
        database: Load::of(&without, &with, 1),
        server_memory_peak_kib: server.memory_peak_kib(),
        requests: tally.requests(),
        events_kib_per_second: tally.event_kib() / seconds(&with),
    })
}

fn seconds(consumption: &[Option<Consumption>; 2]) -> f64 {
    consumption.iter().flatten().map(|consumption| consumption.seconds).fold(1.0, f64::max)
}

/// Waits until most agents are connected.
async fn connected(api: &Api, n_agents: u32) -> Result<(), BenchError> {
    let started_at = Instant::now();
    loop {
        let figures: Value = api.get("/api/system/ingest").await?;
        let n_connected = figures["agentsConnected"].as_u64().unwrap_or_default();
        if u64::from(n_agents) * CONNECTED_PERCENT / 100 <= n_connected {
            return Ok(());
        }
        if CONNECTED_TIMEOUT <= started_at.elapsed() {
            return Err(BenchError::Answer(format!("too slowly: {n_connected} machines are connected")));
        }
        sleep(METER_INTERVAL).await;
    }
}

/// Creates users and logs them in, since charts are limited per user.
async fn users(api: &Api, n_users: u32) -> Result<Vec<Api>, BenchError> {
    let mut users = Vec::new();
    for number in 0..n_users {
        let username = format!("console-{number}");
        let body = json!({"username": username, "password": USER_PASSWORD});
        api.post::<Value>("/api/users", &body).await?;
        users.push(Api::log_in(api.base.clone(), &username, USER_PASSWORD).await?);
    }
    Ok(users)
}

/// The API as a logged-in user.
#[derive(Clone, Debug)]
struct Api {
    base: String,
    http: reqwest::Client,
    token: String,
}

impl Api {
    async fn log_in(base: String, username: &str, password: &str) -> Result<Self, BenchError> {
        let mut api = Self { base, http: reqwest::Client::new(), token: String::new() };
        let body = json!({"username": username, "password": password});
        let login: Value = api.post("/api/login", &body).await?;
        login["token"].as_str().unwrap_or_default().clone_into(&mut api.token);
        Ok(api)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, BenchError> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, BenchError> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}
