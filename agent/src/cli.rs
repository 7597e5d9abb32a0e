//! The command line.
#![expect(clippy::doc_markdown, reason = "clap prints these comments as they are, to people")]
#![allow(rustdoc::bare_urls, reason = "as above")]

mod enroll;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use pika_shared::{Clock, KeyPinError, chain};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::enroll::{EnrollArguments, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE};
use crate::agent::Agent;
use crate::collect::{Collectors, Host};
use crate::config::{Config, ConfigError, Endpoint, EndpointError, Overrides};
use crate::identity::{Identity, IdentityError};
use crate::link::{self, EnrollError, RotateError, Timing};
use crate::release::{self, RELEASE_KEY, ReleaseError, Version};
use crate::{shutdown, telemetry};

/// The exit code for somebody who asks for a signature where there is no key to check it with.
const NO_RELEASE_KEY: u8 = 3;

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
    /// The token is taken from --token, from --token-file, from the environment variable PIKA_ENROLLMENT_TOKEN, or from
    /// the file that PIKA_ENROLLMENT_TOKEN_FILE names.
    Enroll(EnrollArguments),
    /// Replace this agent's secret immediately; a running agent picks up the new one.
    ///
    /// If the response is lost, run it again: until the server has confirmed the new secret, both are kept.
    RotateSecret(ConnectArguments),
    /// Take samples and report them until stopped.
    Run(RunArguments),
    /// Print one sample as it would be sent, without sending it.
    Sample(ConfigArgument),
    /// Check the configuration.
    CheckConfig(ConfigArgument),
    /// Check whether downloaded files may replace this program, without doing it.
    ///
    /// They must be signed with the release key that this program was built with, and not be older. Exits with 3 if it was
    /// built without one.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
struct ConfigArgument {
    /// Configuration file [default: /etc/pika/agent.yaml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ConnectArguments {
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
struct RunArguments {
    #[command(flatten)]
    connect: ConnectArguments,
    /// Enroll first if this machine is not enrolled yet, with the token that `enroll` would take from the environment.
    #[arg(long)]
    enroll_if_needed: bool,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// Directory with SHA256SUMS, SHA256SUMS.sig and the files that they are about.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
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
    #[error("enrolling needs --server URL (or `server` in the configuration, or PIKA_AGENT_SERVER)")]
    NoServer,
    #[error("the server's address is not usable")]
    Server { source: EndpointError },
    #[error(
        "enrolling needs a token: set {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}, or give `enroll` --token-file FILE"
    )]
    NoToken,
    #[error("cannot read the token in {}", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error("the operating system refused a resource")]
    System { source: io::Error },
    #[error("cannot print")]
    Print { source: io::Error },
}

/// Returns the description of the command line, from which manual pages and completions are made.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command given on the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            // Logging may not have started, and whoever typed the command reads stderr in any case.
            writeln!(io::stderr(), "pika-agent: {}", chain(&error)).unwrap_or_default();
            match error {
                CommandError::Release(ReleaseError::NoKey) => ExitCode::from(NO_RELEASE_KEY),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Enroll(arguments) => enroll::run(arguments),
        Command::Run(arguments) => run(arguments),
        Command::RotateSecret(arguments) => rotate_secret(arguments),
        Command::Sample(ConfigArgument { config }) => {
            sample(&load(config.as_deref(), &Overrides::default())?)
        }
        Command::CheckConfig(ConfigArgument { config }) => {
            let config = load(config.as_deref(), &Overrides::default())?;
            print(&format!("the configuration is valid; samples every {} ms", config.interval_ms))
        }
        Command::Verify(VerifyArguments { dir }) => {
            let own = Version::parse(env!("CARGO_PKG_VERSION")).ok_or(ReleaseError::NoVersion)?;
            let version = release::verify(&dir, RELEASE_KEY, own)?;
            print(&format!("pika-agent {version} is signed with the release key"))
        }
    }
}

fn run(arguments: RunArguments) -> Result<ExitCode, CommandError> {
    let RunArguments { connect: ConnectArguments { config, server, state_dir }, enroll_if_needed } =
        arguments;
    let config = load(config.config.as_deref(), &Overrides { server, state_dir, name: None })?;
    telemetry::init(&config.log);
    if enroll_if_needed {
        enroll::if_needed(&config)?;
    }
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

fn rotate_secret(arguments: ConnectArguments) -> Result<ExitCode, CommandError> {
    let ConnectArguments { config, server, state_dir } = arguments;
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
        collectors.collect(Clock::system().now(), true, APART).await;
        tokio::time::sleep(APART).await;
        collectors.collect(Clock::system().now(), true, APART).await
    });
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    let text = serde_json::to_string_pretty(&reading.sample)
        .map_err(|error| CommandError::Print { source: io::Error::from(error) })?;
    print(&text)
}

fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::load(path, |name| std::env::var(name).ok(), overrides)
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
