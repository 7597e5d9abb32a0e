//! `pika-server grafana-role`: the role of the database that Grafana reads with.

use std::path::PathBuf;

use clap::Args;
use pika_server::config::Config;
use pika_server::store::grafana_role_statements;
use secrecy::ExposeSecret as _;

use crate::{Failure, open_store, print, print_error, read_password_of};

#[derive(Args)]
pub(crate) struct GrafanaRole {
    /// Print the statements instead of executing them: where Pika may make no roles, a superuser runs them in Pika's database.
    #[arg(long)]
    print: bool,
    /// Read the role's password, the first line, from this file instead of standard input.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

pub(crate) async fn run(config: &Config, command: &GrafanaRole) -> Result<(), Failure> {
    let password = read_password_of(command.password_file.as_deref())?;
    if password.expose_secret().is_empty() {
        return Err("there is no password to be read".into());
    }
    if command.print {
        return print(&grafana_role_statements(&password));
    }
    let store = open_store(config)?;
    store.make_grafana_role(&password).await.map_err(|error| {
        let reason = pika_shared::chain(&error);
        format!("{reason}; where Pika may make no roles, let a superuser run what --print prints")
    })?;
    print_error("the role pika_grafana may read the schema grafana");
    Ok(())
}
