//! Rebuilds rollups beside the existing ones and swaps them.

use super::Rollup;
use super::build::{BuildError, Builder, existing, kind_of_relation};
use super::found::{Found, Kind, former, next};
use crate::domain::TimestampMs;
use crate::domain::tier::{DAY_MS, Tier, bucket_start};

/// Up to where a rollup is complete and neither it nor its source has marks.
const SETTLED_UNTIL: &str = "SELECT least(pika_rollup_watermark($1, $2), \
         (SELECT min(start_ms) FROM rollup_changes WHERE tier = ANY ($3)))";
const FINAL_UNTIL: &str = "SELECT final_until_ms FROM rollup_builds WHERE relation = $1";
/// How long after the last late samples buckets are assumed not to change.
const FINAL_AFTER_MS: i64 = DAY_MS;

pub(super) const STATEMENTS: &[&str] = &[SETTLED_UNTIL, FINAL_UNTIL];

impl Builder<'_> {
    pub(super) async fn create_next(&mut self, rollup: Rollup, source: &str) -> Result<(), BuildError> {
        let (relation, next) = (rollup.relation(), next(rollup));
        let final_until = self.final_until(rollup).await?;
        self.transact(&format!(
            "{}; INSERT INTO rollup_builds (relation, final_until_ms) VALUES ('{next}', {final_until}) \
             ON CONFLICT (relation) DO UPDATE \
                 SET copied_until_ms = NULL, final_until_ms = excluded.final_until_ms",
            rollup.fill_as(self.template(), &next, source)
        ))
        .await?;
        tracing::info!(%relation, "rebuilding a rollup, because its definition has changed");
        Ok(())
    }

    pub(super) async fn drop_next(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let (relation, next) = (rollup.relation(), next(rollup));
        let drop = drop_statement(&self.inspect().await?, &next)?;
        self.transact(&format!("{drop}; DELETE FROM rollup_builds WHERE relation = '{next}'")).await?;
        tracing::info!(%relation, "removed an unfinished replacement of another definition");
        Ok(())
    }

    pub(super) async fn drop_former(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let drop = drop_statement(&self.inspect().await?, &former(rollup))?;
        self.transact(&drop).await?;
        tracing::info!(relation = %rollup.relation(), "removed the rollup that was replaced");
        Ok(())
    }

    /// Swaps names, and marks everything that may have changed since it was copied.
    pub(super) async fn replace(&mut self, rollups: &[Rollup]) -> Result<(), BuildError> {
        let found = self.inspect().await?;
        let mut statements = Vec::new();
        for rollup in rollups.iter().copied() {
            let (relation, next) = (rollup.relation(), next(rollup));
            statements.push(rename(&found, &relation, &former(rollup))?);
            statements.push(rename(&found, &next, &relation)?);
            statements.push(format!("DELETE FROM rollup_builds WHERE relation = '{relation}'"));
            let final_until: TimestampMs = self.client.query_one(FINAL_UNTIL, &[&next]).await?.get(0);
            statements.push(match self.abilities.kind {
                Kind::Table => format!(
                    "INSERT INTO rollup_changes (tier, start_ms, end_ms) VALUES ('{}', {final_until}, {}); \
                     DELETE FROM rollup_builds WHERE relation = '{next}'",
                    rollup.tier.name(),
                    self.end_of_bucket(rollup.tier),
                ),
                // The invalidation log says that nothing of the aggregate has been refreshed, which this row corrects.
                Kind::Aggregate => format!(
                    "UPDATE rollup_builds SET relation = '{relation}', copied_until_ms = NULL \
                     WHERE relation = '{next}'"
                ),
            });
        }
        self.transact(&statements.join("; ")).await?;
        for rollup in rollups {
            tracing::info!(relation = %rollup.relation(), "replaced a rollup by the rebuilt one");
        }
        Ok(())
    }

    /// Returns up to where a rollup, as it is now, is complete and will not change any more.
    async fn final_until(&self, rollup: Rollup) -> Result<TimestampMs, BuildError> {
        let tier = rollup.tier;
        let tiers: Vec<&str> =
            Tier::ROLLUPS.iter().filter(|finer| **finer <= tier).map(|finer| finer.name()).collect();
        let row = self.client.query_one(SETTLED_UNTIL, &[&rollup.relation(), &tier.name(), &tiers]).await?;
        let settled_until: Option<TimestampMs> = row.get(0);
        let unchanging = self.now() - tier.late_reach_ms() - FINAL_AFTER_MS;
        Ok(bucket_start(settled_until.unwrap_or(0).clamp(0, unchanging), tier.bucket_ms()))
    }
}

fn drop_statement(found: &Found, name: &str) -> Result<String, BuildError> {
    Ok(format!("DROP {} {name}", kind_of_relation(existing(found, name)?.kind)))
}

fn rename(found: &Found, from: &str, to: &str) -> Result<String, BuildError> {
    let kind = existing(found, from)?.kind;
    let rename = format!("ALTER {} {from} RENAME TO {to}", kind_of_relation(kind));
    Ok(match kind {
        Kind::Table => format!("{rename}; ALTER INDEX IF EXISTS {from}_pkey RENAME TO {to}_pkey"),
        Kind::Aggregate => rename,
    })
}
