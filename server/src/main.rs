//! The command line of the server: reads arguments and configuration, starts logging, and calls the library.

mod user_command;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use pika_server::app::Server;
use pika_server::clock::Clock;
use pika_server::config::Config;
use pika_server::domain::audit::{Action, Actor, AuditEvent, Origin};
use pika_server::domain::token::{NewToken, TokenKind};
use pika_server::http::Tls;
use pika_server::store::{NewEnrollment, Store};
use pika_server::{api, healthcheck, open_files, telemetry};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Stores the samples of a fleet in TimescaleDB and serves them.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The configuration file; /etc/pika/server.yaml where there is one, else only defaults and environment.
    #[arg(long, env = "PIKA_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default).
    Serve,
    /// Bring the database's schema up to date and exit.
    Migrate,
    /// Print the API's OpenAPI description.
    Openapi,
    /// Say whether the configuration can be used.
    CheckConfig,
    /// Ask a running server whether it is ready; exit status 0 if so.
    Healthcheck {
        /// Where it listens.
        #[arg(long, default_value = "http://127.0.0.1:18888")]
        url: String,
    },
    /// Manage enrollment tokens.
    #[command(subcommand)]
    Enrollment(EnrollmentCommand),
    /// Manage users: the way back in when nobody can log in.
    #[command(subcommand)]
    User(user_command::UserCommand),
}

#[derive(Subcommand)]
enum EnrollmentCommand {
    /// Make a token that lets new agents in, and print it.
    Create(EnrollmentCreate),
}

#[derive(Args)]
struct EnrollmentCreate {
    /// What people call it.
    #[arg(long)]
    name: String,
    /// How many agents it lets in.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100_000))]
    max_uses: i32,
    /// When it ends.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=87_600))]
    expires_in_hours: i64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also where logging goes elsewhere: whoever started the process is looking here.
            print_error(&format!("pika-server: {}", telemetry::chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let file = arguments.config.as_deref();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Openapi => print(&api::description()?),
        Command::Healthcheck { url } => runtime()?.block_on(healthcheck::run(&url)).map_err(Into::into),
        Command::CheckConfig => {
            let config = load_config(file)?;
            runtime()?.block_on(async { open_store(&config) })?;
            config.server.tls_files().map(Tls::load).transpose()?;
            print("the configuration can be used\n")
        }
        Command::Serve => {
            let config = load_config(file)?;
            telemetry::start_logging(&config.log)?;
            open_files::allow(config.server.connections_max);
            runtime()?.block_on(serve(config))
        }
        Command::Migrate => {
            let config = load_config(file)?;
            telemetry::start_logging(&config.log)?;
            runtime()?.block_on(migrate(&config))
        }
        Command::Enrollment(EnrollmentCommand::Create(create)) => {
            let config = load_config(file)?;
            runtime()?.block_on(create_enrollment(&config, create))
        }
        Command::User(command) => {
            let config = load_config(file)?;
            runtime()?.block_on(user_command::run(&config, command))
        }
    }
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

async fn migrate(config: &Config) -> Result<(), Failure> {
    let store = open_store(config)?;
    let migrated = store.migrate(Clock::system().now()).await?;
    for migration in &migrated.applied {
        print(&format!("applied {migration}\n"))?;
    }
    let database = migrated.database;
    print(&format!(
        "the schema is up to date (PostgreSQL {}, TimescaleDB {}, {} edition)\n",
        database.postgres_version, database.timescaledb_version, database.edition
    ))
}

async fn create_enrollment(config: &Config, create: EnrollmentCreate) -> Result<(), Failure> {
    let store = open_store(config)?;
    let event = event(Action::EnrollmentCreated);
    let token = NewToken::random(TokenKind::Enrollment)?;
    let lifetime = Duration::from_secs(60 * 60).as_millis();
    let new = NewEnrollment {
        name: create.name,
        token_hash: token.hash,
        max_uses: create.max_uses,
        expires_at: event.origin.at + create.expires_in_hours * i64::try_from(lifetime)?,
    };
    store.insert_enrollment(&new, event).await?;
    let tls = config.server.tls_files().filter(|_| config.server.tls.pin_key).map(Tls::load).transpose()?;
    let pin = tls.map(|tls| format!(".{}", tls.subscribe().borrow().key_pin)).unwrap_or_default();
    print(&format!("{}{pin}\n", token.secret.expose_secret()))
}

/// What somebody at the command line does now.
fn event(action: Action) -> AuditEvent {
    let origin = Origin { at: Clock::system().now(), ..Origin::default() };
    AuditEvent::new(Actor::CommandLine, origin, action)
}

fn open_store(config: &Config) -> Result<Store, Failure> {
    Ok(Store::new(config.database.url().expose_secret(), &config.database.store_config())?)
}

fn load_config(file: Option<&Path>) -> Result<Config, Failure> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Config::load(file, &environment)?)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The password is for the terminal, not for the log, which may be kept for years.
fn announce_password(username: &str, password: &SecretString) {
    print_error(&format!(
        "\n  The first administrator was created. This is shown once:\n    username: {username}\n    password: {}\n",
        password.expose_secret()
    ));
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn print_error(text: &str) {
    // Where standard error is gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{text}"));
}
