//! Makes tables, rollups and policies match the definition at start, for the edition at hand.

use tokio_postgres::Client;

use super::edition::{DatabaseInfo, Edition};
use super::grafana;
use super::maintenance;
use super::rollup::abilities::Abilities;
use super::rollup::build::{BuildError, Builder};
use super::rollup::plan::Step;
use super::rollup::{Definition, community};
use super::tables;
use crate::domain::TimestampMs;

const APACHE_WATERMARK: &str = include_str!("../../../sql/editions/apache/watermark.sql");
const COMMUNITY_WATERMARK: &str = include_str!("../../../sql/editions/community/watermark.sql");

/// Makes the database match the definition. Runs under the migration lock, and under the maintenance lock if there is
/// something to do. An interrupted run is continued by the next. `goes_on` is called with the name of each completed
/// step.
pub(super) async fn run(
    client: &mut Client,
    database: &DatabaseInfo,
    definition: &Definition,
    now: TimestampMs,
    goes_on: &mut (dyn FnMut(&str) -> bool + Send + Sync),
) -> Result<(), BuildError> {
    client
        .batch_execute(match database.edition {
            Edition::Apache => APACHE_WATERMARK,
            Edition::Community => COMMUNITY_WATERMARK,
        })
        .await?;
    tables::bring(client, definition).await?;
    build_rollups(client, database, definition, now, goes_on).await?;
    if database.edition == Edition::Community {
        community::prepare_for_policies(client, definition).await?;
        maintenance::reconcile_policies(client, definition).await?;
    }
    grafana::bring(client, definition).await
}

/// Returns the names of the steps that would make the rollups match the definition.
pub(super) async fn planned(
    client: &mut Client,
    database: &DatabaseInfo,
    definition: &Definition,
    now: TimestampMs,
) -> Result<Vec<&'static str>, BuildError> {
    let mut goes_on = |_: &str| true;
    let builder = Builder::new(client, definition, Abilities::of(database), now, &mut goes_on);
    Ok(builder.plan().await?.iter().map(Step::name).collect())
}

/// Makes the relations that history is restored into: tables of samples and, whatever the edition, rollups as tables, which
/// [`run`] then turns into what the edition has.
pub(super) async fn prepare_history(
    client: &mut Client,
    database: &DatabaseInfo,
    definition: &Definition,
    now: TimestampMs,
) -> Result<(), BuildError> {
    let as_tables = DatabaseInfo { edition: Edition::Apache, ..database.clone() };
    client.batch_execute(APACHE_WATERMARK).await?;
    tables::bring(client, definition).await?;
    build_rollups(client, &as_tables, definition, now, &mut |_| true).await
}

async fn build_rollups(
    client: &mut Client,
    database: &DatabaseInfo,
    definition: &Definition,
    now: TimestampMs,
    goes_on: &mut (dyn FnMut(&str) -> bool + Send + Sync),
) -> Result<(), BuildError> {
    let mut builder = Builder::new(client, definition, Abilities::of(database), now, goes_on);
    let steps = builder.plan().await?;
    if !steps.is_empty() {
        tracing::info!(steps = steps.len(), "updating the rollups to their definition");
        builder.exclude_maintenance().await?;
        grafana::remove(builder.client()).await?;
        for step in &steps {
            builder.take(step).await?;
        }
    }
    Ok(())
}
