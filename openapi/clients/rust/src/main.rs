//! A tour of Pika's API with the client generated from its description.
//!
//! Environment: `PIKA_URL`, `PIKA_USERNAME`, `PIKA_PASSWORD`.

use std::error::Error;
use std::fmt::Debug;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use pika::types::{ApiTokenRequest, LoginRequest, MetricType, Role, Scope, UserRequest};
use pika::{Client, ResponseValue, types};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use uuid::Uuid;

/// The generated client.
#[allow(
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
    clippy::restriction,
    dead_code,
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_imports,
    unused_lifetimes,
    reason = "generated"
)]
mod pika {
    include!(concat!(env!("OUT_DIR"), "/pika.rs"));
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

type Failure = Box<dyn Error>;
type CallError = pika::Error<types::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match round().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If this fails, there is nowhere to report it.
            drop(writeln!(std::io::stderr(), "rust: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn round() -> Result<(), Failure> {
    let setting = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (url, username, password) =
        (setting("PIKA_URL")?, setting("PIKA_USERNAME")?, setting("PIKA_PASSWORD")?);

    // Log in. Requests carry the session's token.
    let anonymous = Client::new(&url);
    let login = LoginRequest { username: username.parse()?, password: password.parse()?, code: None };
    let session = data("login", anonymous.login().body(login).send().await)?;
    let pika = client_with_token(&url, &session.token)?;
    must(session.user.role == "admin", "whoever is logged in is no administrator")?;

    // Create a user.
    let end = now()?;
    let name = format!("rust-{end}");
    let user = UserRequest::builder().username(&name).role(Role::User);
    let created = data("createUser", pika.create_user().body(user).send().await)?;
    must(created.user.username == name, "createUser: another name")?;
    must(created.password.is_some_and(|password| password.len() >= 8), "createUser: no password")?;

    // The fleet.
    let agents = data("listAgents", pika.list_agents().send().await)?;
    let agent = agents.items.first().ok_or("listAgents: there is no agent")?;

    // A day of CPU.
    let metrics = pika.get_agent_metrics().id(agent.id).type_(MetricType::Cpu).start(end - DAY_MS).end(end);
    let metrics = data("getAgentMetrics", metrics.send().await)?;
    let usage = metrics.series.iter().find(|series| series.metric == "usagePercent");
    let usage = usage.ok_or("getAgentMetrics: no usagePercent")?;
    must(usage.unit == "percent", "getAgentMetrics: usagePercent is not in percent")?;
    must(usage.max.iter().flatten().any(|value| *value >= 0.0), "getAgentMetrics: no value of usagePercent")?;
    must(usage.avg.len() == metrics.timestamps.len(), "getAgentMetrics: values and times differ in number")?;

    // The newest values.
    let latest = data("getLatestAgentMetrics", pika.get_latest_agent_metrics().id(agent.id).send().await)?;
    must(latest.cpu.is_some_and(|cpu| cpu.core_count > 0), "getLatestAgentMetrics: no CPU")?;
    must(latest.memory.is_some_and(|memory| memory.total_bytes > 0), "getLatestAgentMetrics: no memory")?;

    // Live changes of the fleet, up to the first event, which the agent's next sample causes.
    let mut events = data("followEvents", pika.follow_events().send().await)?;
    let mut read = String::new();
    while !read.contains("event: metrics") && !read.contains("event:metrics") {
        let next = events.next().await.ok_or_else(|| format!("followEvents: ended after {read:?}"))??;
        read.push_str(&String::from_utf8_lossy(&next));
    }
    drop(events);

    // Errors have a code for programs.
    fails("getAgent", pika.get_agent().id(Uuid::nil()).send().await, 404, "not_found")?;

    // Too many failed logins are answered with 429, which says when to retry.
    let guess = LoginRequest::builder().username(format!("{name}-guessed")).password("wrong password");
    let mut guessed = anonymous.login().body(guess.clone()).send().await;
    for _ in 0..50 {
        if !guessed.as_ref().is_err_and(|error| error.status().is_some_and(|status| status == 401)) {
            break;
        }
        guessed = anonymous.login().body(guess.clone()).send().await;
    }
    let error = fails("login", guessed, 429, "too_many_requests")?;
    let retry_after = error.headers().get("Retry-After").and_then(|value| value.to_str().ok());
    must(
        retry_after.and_then(|value| value.parse::<u64>().ok()) > Some(0),
        "login: 429 without Retry-After",
    )?;

    // An API token, for programs.
    let token =
        ApiTokenRequest { name: name.clone(), scopes: vec![Scope::Read], expires_at: Some(end + DAY_MS) };
    let token = data("createApiToken", pika.create_api_token().body(token).send().await)?;
    let program = client_with_token(&url, &token.token)?;
    let fleet = data("listAgents", program.list_agents().send().await)?;
    must(fleet.total > 0, "listAgents: none with an API token")?;
    fails("listApiTokens", program.list_api_tokens().send().await, 403, "forbidden")?;

    data("deleteApiToken", pika.delete_api_token().id(token.id).send().await)?;
    data("deleteUser", pika.delete_user().id(created.user.id).send().await)?;

    // Log out: the token becomes invalid.
    data("logout", pika.logout().send().await)?;
    fails("getAccountInfo", pika.get_account_info().send().await, 401, "unauthorized")?;
    Ok(())
}

/// Returns the time, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "an example needs no injected clock")]
fn now() -> Result<i64, Failure> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Returns a client whose requests carry a session's token or an API token.
fn client_with_token(url: &str, token: &str) -> Result<Client, Failure> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))?;
    authorization.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
    let client = reqwest::Client::builder().default_headers(headers).build()?;
    Ok(Client::new_with_client(url, client))
}

/// Returns the data of a call that has to succeed.
fn data<T>(call: &str, answer: Result<ResponseValue<T>, CallError>) -> Result<T, Failure> {
    answer.map(ResponseValue::into_inner).map_err(|error| format!("{call}: {error:?}").into())
}

/// Checks that a call fails with this status and code, and returns the error.
fn fails<T: Debug>(
    call: &str,
    answer: Result<ResponseValue<T>, CallError>,
    status: u16,
    code: &str,
) -> Result<ResponseValue<types::Error>, Failure> {
    match answer {
        Err(CallError::ErrorResponse(error)) if error.status() == status && error.code == code => Ok(error),
        found => Err(format!("{call}: expected {status} {code}, found {found:?}").into()),
    }
}

fn must(condition: bool, what: &str) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(what.into()) }
}
