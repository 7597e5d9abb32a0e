//! `pika-bench fleet`: simulated machines that report to a running server, for demonstrations and tests.

mod machine;
mod reporter;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use pika_server::domain::tier::HOUR_MS;
use pika_server::domain::token::TokenHash;
use pika_shared::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::machine::{Machine, Trouble};
use self::reporter::{Reporter, Shared};
use crate::error::BenchError;
use crate::interrupt::Interrupt;

/// Maximum number of machines that send their past at the same time.
const PAST_TURNS: usize = 16;

/// Simulates machines that report to a running server until stopped, with daily cycles, peaks, a disk that fills up,
/// restarts, some machines offline, dropped samples, and a copied identity.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// URL of the server, without TLS, for example `http://127.0.0.1:18888`.
    #[arg(long)]
    server: String,
    /// An enrollment token with enough uses for all machines.
    #[arg(long, env = "PIKA_ENROLLMENT_TOKEN", hide_env_values = true)]
    token: String,
    /// Number of machines.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    agents: u32,
    /// Interval between samples, in milliseconds.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    interval_ms: u64,
    /// Hours of the past that the machines report first; servers accept 24 by default.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=23))]
    past_hours: u8,
    /// Interval between samples of the past, in milliseconds.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=3_600_000))]
    past_interval_ms: u64,
    /// Random seed. The same seed gives the same fleet; with the same token the same agents.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prefix of the machines' names.
    #[arg(long, default_value = "demo-")]
    prefix: String,
}

/// Runs the fleet until interrupted, which is the normal end.
///
/// # Errors
/// If the server's URL is invalid, or it refuses a machine.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<String, BenchError> {
    let stop = CancellationToken::new();
    let clock = Clock::system();
    let started_at = clock.now();
    let shared = Arc::new(Shared {
        url: websocket_url(&options.server)?,
        enrollment_token: options.token.clone(),
        interval: Duration::from_millis(options.interval_ms),
        past_interval_ms: i64::try_from(options.past_interval_ms).unwrap_or(i64::MAX),
        past_ms: i64::from(options.past_hours) * HOUR_MS,
        clock,
        turns: Semaphore::new(PAST_TURNS),
        stop: stop.clone(),
        started_at,
    });
    let mut machines = JoinSet::new();
    for number in 0..options.agents {
        let machine = Machine::new(options.seed, number, &options.prefix);
        let is_copied = machine.trouble == Trouble::Clone;
        let secret = secret(&options.token, options.seed, number);
        let reporter = Reporter::new(Arc::clone(&shared), machine, secret);
        if is_copied {
            machines.spawn(reporter.copied().run());
        }
        machines.spawn(reporter.run());
    }
    let failed = interrupt.or(first_failure(&mut machines)).await;
    stop.cancel();
    while machines.join_next().await.is_some() {}
    match failed {
        Err(BenchError::Interrupted) | Ok(()) => Ok(format!("{} machines have stopped", options.agents)),
        Err(error) => Err(error),
    }
}

/// Waits until a machine fails, or all have stopped.
async fn first_failure(machines: &mut JoinSet<Result<(), BenchError>>) -> Result<(), BenchError> {
    while let Some(ended) = machines.join_next().await {
        ended??;
    }
    Ok(())
}

/// Returns the WebSocket URL of a server.
fn websocket_url(server: &str) -> Result<String, BenchError> {
    let address = server.trim_end_matches('/');
    match address.split_once("://").unwrap_or(("http", address)) {
        ("http", host) => Ok(format!("ws://{host}/ws/agent")),
        ("https", _) => Err(BenchError::Usage("simulated machines do not support TLS".to_owned())),
        _ => Err(BenchError::Usage(format!("{server} is not the URL of a server"))),
    }
}

/// Returns the secret of a machine, which cannot be guessed without the token.
fn secret(token: &str, seed: u64, number: u32) -> String {
    let hash = TokenHash::of(&format!("{token} {seed} {number}"));
    format!("pika_agent_{}", URL_SAFE_NO_PAD.encode(hash.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_people_name_it() {
        assert_eq!(websocket_url("http://127.0.0.1:18888/").unwrap(), "ws://127.0.0.1:18888/ws/agent");
        assert_eq!(websocket_url("localhost:18888").unwrap(), "ws://localhost:18888/ws/agent");
        assert!(websocket_url("https://pika.example.org").is_err());
        assert!(websocket_url("ftp://localhost").is_err());
    }

    #[test]
    fn secrets_have_the_form_of_agents_secrets() {
        let secret = secret("pika_enroll_x", 1, 2);
        assert!(pika_shared::token::TokenKind::AgentSecret.is_well_formed(&secret), "{secret}");
        assert_ne!(secret, super::secret("pika_enroll_x", 1, 3));
    }
}
