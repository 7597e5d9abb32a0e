//! The command line.
#![expect(clippy::doc_markdown, reason = "clap prints these comments as they are, to people")]
#![allow(rustdoc::bare_urls, reason = "as above")]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use pika_shared::{Clock, KeyPin, KeyPinError, chain};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::agent::Agent;
use crate::collect::{Collectors, Host};
use crate::config::{Config, ConfigError, Endpoint, EndpointError, Overrides};
use crate::identity::{Identity, IdentityError, Replace};
use crate::link::{self, EnrollError, Enrolled, Enrollment, RotateError, Timing};
use crate::state::State;

use crate::{shutdown, telemetry};

/// The environment variable with the enrollment token.
const TOKEN_VARIABLE: &str = "PIKA_ENROLLMENT_TOKEN";

/// Maximum number of threads for blocking work: one file system at a time, name resolution, syncing.
const BLOCKING_THREADS_MAX: usize = 4;

/// How long the process waits for blocked threads when it exits.
const BLOCKED_TIMEOUT: Duration = Duration::from_millis(200);

/// Reports a machine's metrics to a Pika server.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enroll this machine at a server with an enrollment token.
    ///
    /// The token is taken from the environment variable PIKA_ENROLLMENT_TOKEN, from --token-file, or from --token.
    Enroll(EnrollArguments),
    /// Replace this agent's secret immediately; a running agent picks up the new one.
    ///
    /// If the response is lost, run it again: until the server has confirmed the new secret, both are kept.
    RotateSecret(RunArguments),
    /// Take samples and report them until stopped.
    Run(RunArguments),
    /// Print one sample as it would be sent, without sending it.
    Sample(ConfigArgument),
    /// Check the configuration.
    CheckConfig(ConfigArgument),
}

#[derive(Debug, Args)]
struct ConfigArgument {
    /// Configuration file [default: /etc/pika/agent.yaml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// URL of the server, for example https://pika.example.org [default: the server of the enrollment].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Directory for the identity and unacknowledged samples.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct EnrollArguments {
    #[command(flatten)]
    run: RunArguments,
    /// The name shown to people [default: the host name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The enrollment token. Every user of this machine can see it in the process list: prefer the environment variable
    /// or a file.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the enrollment token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Give an already enrolled machine a new identity.
    #[arg(long)]
    replace: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    KeyPin(#[from] KeyPinError),
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    #[error("the secret may not have been replaced; run this again")]
    Rotate(#[from] RotateError),
    #[error("enroll needs --server URL (or `server` in the configuration)")]
    NoServer,
    #[error("the server's address is not usable")]
    Server { source: EndpointError },
    #[error("enroll needs a token: set {TOKEN_VARIABLE}, or give --token-file FILE")]
    NoToken,
    #[error("cannot read the token in {}", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error("the operating system refused a resource")]
    System { source: io::Error },
    #[error("cannot print")]
    Print { source: io::Error },
}

/// Runs the command given on the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            // Logging may not have started, and whoever typed the command reads stderr in any case.
            writeln!(io::stderr(), "pika-agent: {}", chain(&error)).unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Enroll(arguments) => enroll(arguments),
        Command::Run(arguments) => run(arguments),
        Command::RotateSecret(arguments) => rotate_secret(arguments),
        Command::Sample(ConfigArgument { config }) => {
            sample(&load(config.as_deref(), &Overrides::default())?)
        }
        Command::CheckConfig(ConfigArgument { config }) => {
            let config = load(config.as_deref(), &Overrides::default())?;
            print(&format!("the configuration is valid; samples every {} ms", config.interval_ms))
        }
    }
}

fn run(arguments: RunArguments) -> Result<ExitCode, CommandError> {
    let RunArguments { config, server, state_dir } = arguments;
    let config = load(config.config.as_deref(), &Overrides { server, state_dir, name: None })?;
    telemetry::init(&config.log);
    let identity = Identity::load(&config.state_dir)?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals =
            shutdown::on_signal(shutdown.clone()).map_err(|source| CommandError::System { source })?;
        let agent = Agent { config, identity, clock: Clock::system(), timing: Timing::STANDARD };
        let (result, ()) = tokio::join!(
            async {
                let _guard = shutdown.clone().drop_guard();
                agent.run(shutdown.clone()).await
            },
            signals
        );
        Ok::<_, CommandError>(result)
    });
    // A hung file system blocks its thread forever; it must not block the process.
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    match result? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            error!(error = %chain(&error), "ended");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn enroll(arguments: EnrollArguments) -> Result<ExitCode, CommandError> {
    let EnrollArguments { run, name, token, token_file, replace } = arguments;
    let RunArguments { config, server, state_dir } = run;
    let config = load(config.config.as_deref(), &Overrides { server, state_dir, name })?;
    telemetry::init(&config.log);
    if config.server.is_empty() {
        return Err(CommandError::NoServer);
    }
    let endpoint = Endpoint::parse(&config.server).map_err(|source| CommandError::Server { source })?;
    let token = token_of(token, token_file.as_deref())?;
    let (token, key_pin) = KeyPin::split_token(token.expose_secret())?;
    let replace = if replace { Replace::Yes } else { Replace::No };
    let secret = Identity::prepare(&config.state_dir, &config.server, replace)?;

    let host = Host::detect();
    let enrollment = Enrollment {
        server: &config.server,
        endpoint,
        ca_file: &config.tls.ca_file,
        name: &config.name,
        interval_ms: config.interval_ms,
        host: &host,
        key_pin,
        token: token.to_owned().into(),
        secret,
    };
    let clock: Clock = Clock::system();
    let runtime = runtime()?;
    let result = runtime.block_on(link::enroll(enrollment, clock, Timing::STANDARD));
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    let Enrolled { identity, clock_offset } = result?;
    identity.store(&config.state_dir)?;
    let mut state = State::open(&config.state_dir, Clock::system().now(), clock_offset.booted_at_ms);
    state.set_clock_offset(clock_offset, 0..0);
    state.save_changes();
    print(&format!(
        "{} is enrolled at {} as agent {}. Start it with: pika-agent run",
        if config.name.is_empty() { &host.hostname } else { &config.name },
        config.server,
        identity.id,
    ))
}

fn rotate_secret(arguments: RunArguments) -> Result<ExitCode, CommandError> {
    let RunArguments { config, server, state_dir } = arguments;
    let config = load(config.config.as_deref(), &Overrides { server, state_dir, name: None })?;
    telemetry::init(&config.log);
    let mut identity = Identity::load(&config.state_dir)?;
    let server = if config.server.is_empty() { &identity.server } else { &config.server };
    let endpoint = Endpoint::parse(server).map_err(|source| CommandError::Server { source })?;
    identity.prepare_rotation(&config.state_dir)?;
    let clock: Clock = Clock::system();
    let host = Host::detect();
    let runtime = runtime()?;
    let result =
        runtime.block_on(link::rotate(&config, endpoint, &mut identity, &host, clock, Timing::STANDARD));
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    result?;
    identity.store(&config.state_dir)?;
    print(&format!("agent {} has a new secret; the old one is invalid", identity.id))
}

fn sample(config: &Config) -> Result<ExitCode, CommandError> {
    /// Deltas need two readings; a second apart is enough to be meaningful.
    const APART: Duration = Duration::from_secs(1);

    telemetry::init(&config.log);
    let runtime = runtime()?;
    let reading = runtime.block_on(async {
        let mut collectors = Collectors::new(config, None);
        collectors.collect(Clock::system().now(), APART).await;
        tokio::time::sleep(APART).await;
        collectors.collect(Clock::system().now(), APART).await
    });
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    let text = serde_json::to_string_pretty(&reading.sample)
        .map_err(|error| CommandError::Print { source: io::Error::from(error) })?;
    print(&text)
}

fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::load(path, |name| std::env::var(name).ok(), overrides)
}

fn token_of(token: Option<String>, token_file: Option<&Path>) -> Result<SecretString, CommandError> {
    let token = match (token, token_file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => Some(
            fs::read_to_string(path)
                .map_err(|source| CommandError::TokenFile { path: path.to_owned(), source })?,
        ),
        (None, None) => std::env::var(TOKEN_VARIABLE).ok(),
    };
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    token.map(SecretString::from).ok_or(CommandError::NoToken)
}

/// Single-threaded: there is never more than one thing to do at a time.
fn runtime() -> Result<Runtime, CommandError> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|source| CommandError::System { source })
}

fn print(text: &str) -> Result<ExitCode, CommandError> {
    writeln!(io::stdout(), "{text}").map_err(|source| CommandError::Print { source })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_token_may_come_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "  abc\n").unwrap();
        assert_eq!(token_of(None, Some(&path)).unwrap().expose_secret(), "abc");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(token_of(None, Some(&path)), Err(CommandError::NoToken)));
        assert_eq!(token_of(Some("x".to_owned()), None).unwrap().expose_secret(), "x");
    }
}
