//! The server's command line: parses arguments and configuration, starts logging, and calls the library.

mod allocator;
mod backup_command;
mod config_command;
mod grafana_role_command;
mod migrate_command;
mod restore_command;
mod secret_key_command;
mod user_command;

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pika_server::app::Server;
use pika_server::config::Config;
use pika_server::domain::audit::{Action, Actor, AuditEvent, Origin};
use pika_server::domain::token::NewToken;
use pika_server::http::Tls;
use pika_server::preflight::{self, Warning};
use pika_server::store::{NewEnrollment, Store};
use pika_server::{api, healthcheck, open_files, telemetry};
use pika_shared::Clock;
use pika_shared::token::TokenKind;
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Maximum bytes read for a password.
const PASSWORD_INPUT_BYTES_MAX: u64 = 4_096;

/// Stores the samples of a fleet in TimescaleDB and serves them.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The configuration file [default: /etc/pika/server.yaml if it exists].
    #[arg(long, env = "PIKA_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default).
    Serve,
    /// Migrate the database's schema and exit.
    Migrate(migrate_command::MigrateArguments),
    /// Back up the database: its settings, and metrics on request.
    Backup(backup_command::BackupArguments),
    /// Restore a backup into an empty database.
    Restore(restore_command::RestoreArguments),
    /// Print the OpenAPI description of the API.
    Openapi,
    /// Check whether the configuration can be used.
    CheckConfig,
    /// Print values of the configuration.
    #[command(subcommand)]
    Config(config_command::ConfigCommand),
    /// Check whether a running server is ready; exit status 0 if so.
    Healthcheck {
        /// The server's URL.
        #[arg(long, default_value = "http://127.0.0.1:18888")]
        url: String,
    },
    /// Manage enrollment tokens.
    #[command(subcommand)]
    Enrollment(EnrollmentCommand),
    /// Make the database role that Grafana reads with, or give it another password.
    GrafanaRole(grafana_role_command::GrafanaRole),
    /// Manage the keys that encrypt secrets in the database.
    #[command(subcommand)]
    SecretKey(secret_key_command::SecretKeyCommand),
    /// Manage users, for example when nobody can log in.
    #[command(subcommand)]
    User(user_command::UserCommand),
}

#[derive(Subcommand)]
enum EnrollmentCommand {
    /// Create a token for enrolling new agents, and print it.
    Create(EnrollmentCreate),
}

#[derive(Args)]
struct EnrollmentCreate {
    /// The token's name.
    #[arg(long)]
    name: String,
    /// How many agents may enroll with it; at most `auth.enrollment_uses_max`.
    #[arg(long, default_value_t = 1)]
    max_uses: i32,
    /// When it expires; at most after `auth.enrollment_lifetime_max_ms`.
    #[arg(long, default_value_t = 24)]
    expires_in_hours: i64,
}

const HOUR_MS: i64 = 3_600_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // Printed even if the log goes elsewhere: whoever started the process looks here.
            print_error(&format!("pika-server: {}", pika_shared::chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let file = arguments.config.as_deref();
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Config(command) => return config_command::run(file, &command),
        Command::Openapi => print(&api::description()?),
        Command::Healthcheck { url } => runtime()?.block_on(healthcheck::run(&url)).map_err(Into::into),
        Command::SecretKey(command) => secret_key_command::run(&command),
        Command::CheckConfig => {
            let config = load_config(file)?;
            for warning in check(&config)? {
                print_error(&format!("pika-server: warning: {warning}"));
            }
            print("the configuration can be used\n")
        }
        Command::Serve => {
            allocator::give_memory_back();
            let config = load_config(file)?;
            let warnings = check(&config)?;
            telemetry::start_logging(&config.log)?;
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            open_files::allow(config.server.connections_max);
            runtime()?.block_on(serve(config))
        }
        Command::Migrate(arguments) => {
            let config = load_config(file)?;
            telemetry::start_logging(&config.log)?;
            runtime()?.block_on(migrate_command::run(&config, &arguments))
        }
        Command::Backup(arguments) => {
            let config = load_config(file)?;
            return runtime()?.block_on(backup_command::run(&config, &arguments));
        }
        Command::Restore(arguments) => {
            let config = load_config(file)?;
            runtime()?.block_on(restore_command::run(&config, &arguments))
        }
        Command::Enrollment(EnrollmentCommand::Create(create)) => {
            let config = load_config(file)?;
            runtime()?.block_on(create_enrollment(&config, create))
        }
        Command::GrafanaRole(command) => {
            let config = load_config(file)?;
            runtime()?.block_on(grafana_role_command::run(&config, &command))
        }
        Command::User(command) => {
            let config = load_config(file)?;
            runtime()?.block_on(user_command::run(&config, command))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let signals = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    let server = Server::bind(config, Clock::system()).await?.announce_password_with(announce_password);
    let result = server.run(shutdown).await;
    signals.abort();
    result.map_err(Into::into)
}

async fn create_enrollment(config: &Config, create: EnrollmentCreate) -> Result<(), Failure> {
    let store = open_store(config)?;
    let event = event(Action::EnrollmentCreated);
    let token = NewToken::random(TokenKind::Enrollment)?;
    let (limits, now) = (config.auth.enrollment_limits(), event.origin.at);
    let expires_at = now.saturating_add(create.expires_in_hours.saturating_mul(HOUR_MS));
    let new = NewEnrollment {
        name: limits.name(&create.name)?,
        token_hash: token.hash,
        max_uses: limits.uses(create.max_uses)?,
        expires_at: limits.end(expires_at, None, now)?,
    };
    store.insert_enrollment(&new, event).await?;
    let tls = config.server.tls_files().filter(|_| config.server.tls.pin_key).map(Tls::load).transpose()?;
    let pin = tls.map(|tls| format!(".{}", tls.subscribe().borrow().key_pin)).unwrap_or_default();
    print(&format!("{}{pin}\n", token.secret.expose_secret()))
}

/// Returns the audit event of an action at the command line.
fn event(action: Action) -> AuditEvent {
    let origin = Origin { at: Clock::system().now(), ..Origin::default() };
    AuditEvent::new(Actor::CommandLine, origin, action)
}

fn open_store(config: &Config) -> Result<Store, Failure> {
    Ok(Store::of_config(&config.database)?)
}

fn load_config(file: Option<&Path>) -> Result<Config, Failure> {
    Ok(Config::load(file, &environment()?)?)
}

/// Returns the environment variables. Those that are not text are ignored, unless they are Pika's.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("PIKA_") || name == "DATABASE_URL" => {
                return Err(format!("the environment variable {name} is not UTF-8").into());
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

fn check(config: &Config) -> Result<Vec<Warning>, Failure> {
    let environment = environment()?;
    Ok(runtime()?.block_on(async { preflight::check(config, &environment) })?)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Prints the password to the terminal, not to the log, which may be kept for years.
fn announce_password(username: &str, password: &SecretString) {
    print_error(&format!(
        "\n  The first administrator was created. This is shown once:\n    username: {username}\n    password: {}\n",
        password.expose_secret()
    ));
}

/// Reads a password from a file; from standard input if there is none.
fn read_password_of(file: Option<&Path>) -> Result<SecretString, Failure> {
    match file {
        Some(file) => {
            let opened = std::fs::File::open(file);
            read_password(opened.map_err(|error| format!("{} cannot be read: {error}", file.display()))?)
        }
        None => read_password(std::io::stdin()),
    }
}

/// Reads a password: the first line of the input. Passwords are never arguments, which are in the process list and in the
/// shell's history.
fn read_password(input: impl Read) -> Result<SecretString, Failure> {
    let mut text = String::new();
    input.take(PASSWORD_INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().into())
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn print_error(text: &str) {
    // If standard error is closed, there is nowhere to report it.
    drop(writeln!(std::io::stderr(), "{text}"));
}
