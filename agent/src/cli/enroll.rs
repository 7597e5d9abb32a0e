//! Enrolling: `pika-agent enroll`, and `pika-agent run --enroll-if-needed`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pika_shared::{Clock, KeyPin};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::info;

use super::{BLOCKED_TIMEOUT, CommandError, ConnectArguments, load, print, runtime};
use crate::collect::Host;
use crate::config::{Config, Endpoint, Overrides};
use crate::identity::{Identity, IdentityError, Replace};
use crate::link::{self, Enrolled, Enrollment, Timing};
use crate::state::State;
use crate::telemetry;

/// The environment variable with the enrollment token.
pub(super) const TOKEN_VARIABLE: &str = "PIKA_ENROLLMENT_TOKEN";

/// The environment variable that names a file with the enrollment token.
pub(super) const TOKEN_FILE_VARIABLE: &str = "PIKA_ENROLLMENT_TOKEN_FILE";

#[derive(Debug, Args)]
pub(super) struct EnrollArguments {
    #[command(flatten)]
    connect: ConnectArguments,
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

/// Enrolls this machine, as `pika-agent enroll`.
pub(super) fn run(arguments: EnrollArguments) -> Result<ExitCode, CommandError> {
    let EnrollArguments { connect, name, token, token_file, replace } = arguments;
    let ConnectArguments { config, server, state_dir } = connect;
    let config = load(config.config.as_deref(), &Overrides { server, state_dir, name })?;
    telemetry::init(&config.log);
    let replace = if replace { Replace::Yes } else { Replace::No };
    let token = token_of(token, token_file.as_deref(), variable);
    let (name, identity) = enroll(&config, token, replace)?;
    print(&format!(
        "{name} is enrolled at {} as agent {}. Start it with: pika-agent run",
        config.server, identity.id,
    ))
}

/// Enrolls this machine unless it is enrolled already. Only a missing identity counts: a damaged one is left to people.
pub(super) fn if_needed(config: &Config) -> Result<(), CommandError> {
    match Identity::load(&config.state_dir) {
        Err(IdentityError::Missing { .. }) => {}
        Ok(_) | Err(_) => return Ok(()),
    }
    let (_, identity) = enroll(config, token_of(None, None, variable), Replace::No)?;
    info!(server = config.server, agent = identity.id, "enrolled");
    Ok(())
}

/// Returns the agent's name and identity.
fn enroll(
    config: &Config,
    token: Result<SecretString, CommandError>,
    replace: Replace,
) -> Result<(String, Identity), CommandError> {
    if config.server.is_empty() {
        return Err(CommandError::NoServer);
    }
    let endpoint = Endpoint::parse(&config.server).map_err(|source| CommandError::Server { source })?;
    let token = token?;
    let (token, key_pin) = KeyPin::split_token(token.expose_secret())?;
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
    let name = if config.name.is_empty() { host.hostname } else { config.name.clone() };
    Ok((name, identity))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the token: as given on the command line, or else as the environment has it.
fn token_of(
    token: Option<String>,
    token_file: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<SecretString, CommandError> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|source| CommandError::TokenFile { path: path.to_owned(), source })
    };
    let set = |name| variable(name).filter(|text| !text.trim().is_empty());
    let token = match (token, token_file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => Some(read(path)?),
        (None, None) => match (set(TOKEN_VARIABLE), set(TOKEN_FILE_VARIABLE)) {
            (None, Some(path)) => Some(read(Path::new(path.trim()))?),
            (token, _) => token,
        },
    };
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    token.map(SecretString::from).ok_or(CommandError::NoToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_the_command_line_or_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let from = |token: Option<&str>, file: Option<&Path>, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            token_of(token.map(str::to_owned), file, variable).map(|token| token.expose_secret().to_owned())
        };
        fs::write(&path, "  abc\n").unwrap();
        let file = (TOKEN_FILE_VARIABLE, path.to_str().unwrap());
        assert_eq!(from(None, Some(&path), &[(TOKEN_VARIABLE, "x")]).unwrap(), "abc");
        assert_eq!(from(Some("y"), None, &[(TOKEN_VARIABLE, "x")]).unwrap(), "y");
        assert_eq!(from(None, None, &[(TOKEN_VARIABLE, "x"), file]).unwrap(), "x");
        assert_eq!(from(None, None, &[(TOKEN_VARIABLE, " "), file]).unwrap(), "abc");
        assert!(matches!(from(None, None, &[]), Err(CommandError::NoToken)));
        let missing = [(TOKEN_FILE_VARIABLE, "/nowhere/token")];
        assert!(matches!(from(None, None, &missing), Err(CommandError::TokenFile { .. })));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(from(None, Some(&path), &[]), Err(CommandError::NoToken)));
    }
}
