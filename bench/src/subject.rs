//! The measured server: in this process, over a real socket, with one client that keeps its connection open.

use std::path::Path;
use std::time::Duration;

use pika_server::app::{AppError, Server};
use pika_server::config::Config;
use pika_shared::Clock;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::BenchError;

/// The administrator's password; nobody else can reach this server.
const ADMIN_PASSWORD: &str = "pika-bench on loopback";
/// Attempts to wait for the server to become ready.
const READY_ATTEMPTS_MAX: u32 = 100;
const READY_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A running server and a logged-in client.
pub(crate) struct Subject {
    base: String,
    token: String,
    http: reqwest::Client,
    /// Stops the server, also when the benchmark fails.
    shutdown: DropGuard,
    task: JoinHandle<Result<(), AppError>>,
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

impl Subject {
    /// Starts a server with the default configuration on a database.
    pub(crate) async fn start(database_url: &str) -> Result<Self, BenchError> {
        // An empty file gives the defaults, whatever configuration this machine has.
        let mut config = Config::load(Some(Path::new("/dev/null")), &[])?;
        config.database.url = database_url.into();
        config.server.addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        config.server.addr.set_port(0);
        config.auth.admin_password = ADMIN_PASSWORD.into();
        let server = Server::bind(config, Clock::system()).await?;
        let base = format!("http://{}", server.local_addr()?);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.run(shutdown.clone()));
        let shutdown = shutdown.drop_guard();
        let http = reqwest::Client::new();
        let mut subject = Self { base, token: String::new(), http, shutdown, task };
        subject.token = subject.log_in().await?;
        Ok(subject)
    }

    /// Returns a response's body; `None` if the server does not have this path.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, BenchError> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.bytes().await?.to_vec())),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            status => Err(BenchError::Answer(format!("{status} to GET {path}: {}", response.text().await?))),
        }
    }

    /// Stops the server as a signal would.
    pub(crate) async fn stop(self) -> Result<(), BenchError> {
        drop(self.shutdown);
        Ok(self.task.await??)
    }

    /// Waits until the administrator can log in, and returns the token.
    async fn log_in(&self) -> Result<String, BenchError> {
        let login = serde_json::json!({"username": "admin", "password": ADMIN_PASSWORD});
        let mut status = StatusCode::SERVICE_UNAVAILABLE;
        for _ in 0..READY_ATTEMPTS_MAX {
            let response = self.http.post(format!("{}/api/login", self.base)).json(&login).send().await?;
            if response.status().is_success() {
                return Ok(response.json::<Login>().await?.token);
            }
            status = response.status();
            if self.task.is_finished() {
                break;
            }
            tokio::time::sleep(READY_RETRY_INTERVAL).await;
        }
        Err(BenchError::Answer(format!("{status} to its administrator")))
    }
}
