//! A running server on its own port.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pika_server::app::{AppError, Server};
use pika_server::config::Config;
use pika_server::telemetry::Instruments;
use pika_shared::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{AgentClient, register_message};
use super::wait::eventually;

pub(crate) const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A server that has not ended by itself within this time never will.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// A server, and an administrator logged in to it.
pub(crate) struct TestServer {
    pub(crate) address: String,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) http: reqwest::Client,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) admin_token: String,
    shutdown: CancellationToken,
    task: Option<JoinHandle<Result<(), AppError>>>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

/// The default configuration with fast and cheap settings.
pub(crate) fn config(database_url: &str) -> Config {
    let defaults = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/server.yaml"));
    let mut config = Config::load(Some(defaults), &[]).unwrap();
    config.database.url = database_url.into();
    config.server.addr = "127.0.0.1:0".parse().unwrap();
    config.ingest.flush_interval_ms = 20;
    config.auth.scrypt_log_n = 4;
    config.auth.admin_password = ADMIN_PASSWORD.into();
    config
}

/// Returns a client with its own address, as far as a server on loopback can tell.
pub(crate) fn client_from(address: &str) -> reqwest::Client {
    reqwest::Client::builder().local_address(address.parse::<std::net::IpAddr>().unwrap()).build().unwrap()
}

impl TestServer {
    /// Starts a server with the default configuration.
    pub(crate) async fn start(database_url: &str) -> Self {
        Self::start_with(config(database_url)).await
    }

    /// Starts a server and logs its administrator in.
    pub(crate) async fn start_with(config: Config) -> Self {
        let mut server = Self::start_unready(config).await;
        server.ready().await;
        server.admin_token = server.session("admin", ADMIN_PASSWORD).await;
        server
    }

    /// Starts a server without waiting for its database.
    pub(crate) async fn start_unready(config: Config) -> Self {
        Self::start_unready_at(config, Clock::system()).await
    }

    /// Like [`TestServer::start_unready`], with the test's own clock.
    pub(crate) async fn start_unready_at(config: Config, clock: Clock) -> Self {
        let server = Server::bind(config, clock).await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let instruments = server.instruments();
        let metrics_address = server.metrics_addr();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.run(shutdown.clone()));
        Self {
            address,
            metrics_address,
            http: reqwest::Client::new(),
            instruments,
            admin_token: String::new(),
            shutdown,
            task: Some(task),
        }
    }

    /// Connects to a server running as a separate process, and logs its administrator in.
    pub(crate) async fn of_process(address: String) -> Self {
        let mut server = Self {
            address,
            metrics_address: None,
            http: reqwest::Client::new(),
            instruments: Arc::new(Instruments::new().unwrap()),
            admin_token: String::new(),
            shutdown: CancellationToken::new(),
            task: None,
        };
        server.ready().await;
        server.admin_token = server.session("admin", ADMIN_PASSWORD).await;
        server
    }

    /// Waits until the server is ready.
    pub(crate) async fn ready(&self) {
        eventually("the server is ready", || async {
            (self.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    /// Stops the server as a signal would.
    pub(crate) async fn stop(mut self) -> Result<(), AppError> {
        self.shutdown.cancel();
        self.task.take().unwrap().await.unwrap()
    }

    /// Tells the server to stop without waiting.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn ended(mut self) -> Result<(), AppError> {
        let ended = tokio::time::timeout(END_TIMEOUT, self.task.take().unwrap()).await;
        ended.expect("the server runs on").unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request as the administrator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, Some(&self.admin_token), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path, Some(&self.admin_token), Some(body)).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        self.request(Method::POST, "/api/login", None, Some(body)).await
    }

    /// Logs in successfully. Returns the session's token.
    pub(crate) async fn session(&self, username: &str, password: &str) -> String {
        let login = self.login(username, password).await;
        assert_eq!(login.status, 200, "{login:?}");
        login.body["token"].as_str().unwrap().to_owned()
    }

    /// Logs in from another address.
    pub(crate) async fn login_from(&self, address: &str, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        answer(client_from(address).post(self.url("/api/login")).json(&body)).await
    }

    /// Creates a user with this password. Returns its id.
    pub(crate) async fn create_user(&self, username: &str, role: &str, password: &str) -> String {
        let body = json!({"username": username, "role": role, "password": password});
        let answer = self.post("/api/users", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["user"]["id"].as_str().unwrap().to_owned()
    }

    /// Creates an API token for the user of a session.
    pub(crate) async fn api_token(&self, session: &str, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes});
        let answer = self.request(Method::POST, "/api/tokens", Some(session), Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, Some(&self.admin_token), None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path, Some(&self.admin_token), Some(body)).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.http.request(method, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// Creates an enrollment token.
    pub(crate) async fn enrollment_token(&self, max_uses: i32) -> String {
        let expires_at = Clock::system().now() + 60_000;
        let body = json!({"name": "test", "expiresAt": expires_at, "maxUses": max_uses});
        let answer = self.post("/api/enrollments", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// Enrolls a new agent. Returns its connection, id and secret.
    pub(crate) async fn enroll(&self, hostname: &str) -> (AgentClient, String, String) {
        let token = self.enrollment_token(1).await;
        let mut agent = AgentClient::connect(&self.address, None).await;
        agent.send(&register_message(hostname, Some(&token))).await;
        let ack = agent.receive_type("register_ack").await;
        let id = ack["data"]["agentId"].as_str().unwrap().to_owned();
        let secret = ack["data"]["secret"].as_str().unwrap().to_owned();
        (agent, id, secret)
    }

    /// Reconnects a known agent.
    pub(crate) async fn reconnect(&self, hostname: &str, secret: &str) -> AgentClient {
        let mut agent = AgentClient::connect(&self.address, Some(secret)).await;
        agent.send(&register_message(hostname, None)).await;
        agent.receive_type("register_ack").await;
        agent
    }

    /// Returns the agent's status according to the API.
    pub(crate) async fn status(&self, agent_id: &str) -> i64 {
        self.get(&format!("/api/agents/{agent_id}")).await.body["status"].as_i64().unwrap()
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    // The body of an endless stream is not awaited.
    if headers.get("content-type").is_some_and(|value| value == "text/event-stream") {
        return Answer { status, headers, body: Value::Null };
    }
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}
