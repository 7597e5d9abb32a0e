//! `pika-server user …`: manages users directly in the database, also while a server is running.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use pika_server::auth::{Auth, NewAccount, NewPassword};
use pika_server::config::Config;
use pika_server::domain::audit::Action;
use pika_server::domain::name::parse_optional;
use pika_server::domain::user::{NICKNAME_CHARS_MAX, Role, User, parse_username};
use pika_server::secrets::SecretKeys;
use pika_server::store::{Store, UserSort};
use pika_server::telemetry::Instruments;
use pika_shared::Clock;
use secrecy::{ExposeSecret, SecretString};

use crate::{Failure, event, open_store, print, print_error, read_password};

/// Users that are read per page.
const PAGE_SIZE: i64 = 100;

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user. Prints the password if it was generated.
    Create(Create),
    /// Set a user's password and end all sessions of that user. Prints the password if it was generated.
    ResetPassword(ResetPassword),
    /// List all users.
    List,
    /// Enable a disabled user.
    Enable {
        /// The username, in any case.
        username: String,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// The username.
    username: String,
    /// The user's role.
    #[arg(long, value_enum, default_value_t = RoleName::User)]
    role: RoleName,
    /// The displayed name.
    #[arg(long, default_value = "")]
    nickname: String,
    /// Read the password from standard input, up to the end of the first line, instead of generating one.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Args)]
pub(crate) struct ResetPassword {
    /// The username, in any case.
    username: String,
    /// Read the password from standard input, up to the end of the first line, instead of generating one.
    #[arg(long)]
    password_stdin: bool,
    /// Remove the user's second factor, too.
    #[arg(long)]
    remove_totp: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Admin,
    User,
}

/// Runs a subcommand.
pub(crate) async fn run(config: &Config, command: UserCommand) -> Result<(), Failure> {
    let store = open_store(config)?;
    if !store.is_schema_current().await? {
        return Err(
            "the database's schema is not up to date with this server; run pika-server migrate".into()
        );
    }
    match command {
        UserCommand::Create(arguments) => create(config, store, arguments).await,
        UserCommand::ResetPassword(arguments) => reset_password(config, store, arguments).await,
        UserCommand::List => list(&store).await,
        UserCommand::Enable { username } => {
            let user = find(&store, &username).await?;
            let user = store.set_user_enabled(user.id, true, event(Action::UserEnabled)).await?;
            print(&format!("{} is enabled\n", user.username))
        }
    }
}

async fn create(config: &Config, store: Store, arguments: Create) -> Result<(), Failure> {
    let account = NewAccount {
        username: parse_username(&arguments.username)?,
        nickname: parse_optional(&arguments.nickname, NICKNAME_CHARS_MAX)?,
        email: String::new(),
        phone: String::new(),
        avatar: String::new(),
        role: match arguments.role {
            RoleName::Admin => Role::Admin,
            RoleName::User => Role::User,
        },
    };
    let created = event(Action::UserCreated).with(serde_json::json!({"role": account.role.as_str()}));
    let password = password(arguments.password_stdin)?;
    let (user, shown) = auth(config, store)?.create_user(account, password, created).await?;
    print_error(&format!("created {} ({})", user.username, user.role.as_str()));
    show(shown.as_ref())
}

async fn reset_password(config: &Config, store: Store, arguments: ResetPassword) -> Result<(), Failure> {
    let user = find(&store, &arguments.username).await?;
    let password = password(arguments.password_stdin)?;
    let auth = auth(config, store)?;
    let shown = auth.reset_password(user.id, password, event(Action::PasswordReset)).await?;
    print_error(&format!("{} has a new password, and all sessions have ended", user.username));
    if arguments.remove_totp {
        let is_removed = auth.reset_totp(&user, event(Action::TotpReset)).await?;
        print_error(if is_removed { "the second factor is removed" } else { "there was no second factor" });
    } else if user.has_totp {
        print_error("the second factor is kept; --remove-totp removes it");
    }
    if !user.enabled {
        print_error("the user is disabled; enable it with `pika-server user enable`");
    }
    show(shown.as_ref())
}

async fn list(store: &Store) -> Result<(), Failure> {
    let mut offset = 0;
    loop {
        let (users, total) = store.users("", UserSort::Username, false, offset, PAGE_SIZE).await?;
        for user in users {
            let status = if user.enabled { "enabled" } else { "disabled" };
            let totp = if user.has_totp { "totp" } else { "-" };
            print(&format!("{}\t{}\t{}\t{status}\t{totp}\n", user.id, user.username, user.role.as_str()))?;
        }
        offset += PAGE_SIZE;
        if total <= offset {
            return Ok(());
        }
    }
}

async fn find(store: &Store, username: &str) -> Result<User, Failure> {
    let found = store.user_by_name(username).await?;
    found.ok_or_else(|| format!("there is no user {username}").into())
}

fn auth(config: &Config, store: Store) -> Result<Auth, Failure> {
    let instruments = Arc::new(Instruments::new()?);
    let keys = SecretKeys::parse(&config.alerting.secret_keys)?;
    Ok(Auth::new(store, Clock::system(), &config.auth, &keys, instruments)?)
}

fn password(is_from_stdin: bool) -> Result<NewPassword, Failure> {
    if !is_from_stdin {
        return Ok(NewPassword::Generated);
    }
    read_password(std::io::stdin()).map(NewPassword::Given)
}

/// Prints only the password to standard output, so that it can be piped.
fn show(password: Option<&SecretString>) -> Result<(), Failure> {
    match password {
        Some(password) => print(&format!("{}\n", password.expose_secret())),
        None => Ok(()),
    }
}
