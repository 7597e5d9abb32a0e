//! `pika-server migrate`: migrates the schema, or says what that would do.

use clap::Args;
use pika_server::config::Config;
use pika_shared::Clock;

use crate::{Failure, open_store, print, print_error};

#[derive(Args)]
pub(crate) struct MigrateArguments {
    /// Print what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(config: &Config, arguments: &MigrateArguments) -> Result<(), Failure> {
    if arguments.dry_run {
        return dry_run(config).await;
    }
    let migrated = open_store(config)?.migrate(Clock::system().now()).await?;
    for migration in &migrated.applied {
        print(&format!("applied {migration}\n"))?;
    }
    let database = migrated.database;
    if let Some(advice) = database.update_advice() {
        print_error(&advice);
    }
    print(&format!(
        "the schema is up to date (PostgreSQL {}, TimescaleDB {}, {} edition)\n",
        database.postgres_version, database.timescaledb_version, database.edition
    ))
}

async fn dry_run(config: &Config) -> Result<(), Failure> {
    let pending = open_store(config)?.pending(Clock::system().now()).await?;
    for migration in &pending.migrations {
        print(&format!("would apply {migration}\n"))?;
    }
    for step in &pending.rollup_steps {
        print(&format!("would {step} a rollup\n"))?;
    }
    if let Some(advice) = pending.advice {
        print_error(&advice);
    }
    if pending.migrations.is_empty() && pending.rollup_steps.is_empty() {
        return print("the schema is up to date\n");
    }
    print_error("make a backup first: pika-server backup --to FILE");
    Ok(())
}
