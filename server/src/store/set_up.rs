//! Brings tables, rollups and policies to what the definition says, at start, for the edition at hand.

use tokio_postgres::Client;

use super::edition::{DatabaseInfo, Edition};
use super::maintenance;
use super::rollup::abilities::Abilities;
use super::rollup::build::{BuildError, Builder};
use super::rollup::{Definition, community};
use super::tables;
use crate::domain::TimestampMs;

const APACHE_WATERMARK: &str = include_str!("../../../sql/editions/apache/watermark.sql");
const COMMUNITY_WATERMARK: &str = include_str!("../../../sql/editions/community/watermark.sql");

/// Brings the database to the definition. Runs under the lock of the migrations, and under that of the maintenance where
/// there is something to do. Interrupted anywhere, it goes on when it is run again. `goes_on` is asked after each step,
/// which it is told.
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
    let mut builder = Builder::new(client, definition, Abilities::of(database), now, goes_on);
    let steps = builder.plan().await?;
    if !steps.is_empty() {
        tracing::info!(steps = steps.len(), "bringing the rollups to their definition");
        builder.exclude_maintenance().await?;
        for step in &steps {
            builder.take(step).await?;
        }
    }
    if database.edition == Edition::Community {
        community::prepare_for_policies(client, definition).await?;
        maintenance::reconcile_policies(client, definition).await?;
    }
    Ok(())
}
