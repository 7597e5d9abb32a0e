//! Makes rollups anew beside those that there are, and lets them take their places.

use std::collections::HashMap;

use super::Rollup;
use super::build::{BuildError, Builder, MIN_MS, kind_of_relation};
use super::found::{Kind, former, next};
use crate::domain::TimestampMs;
use crate::domain::tier::{DAY_MS, bucket_start};

const WATERMARK: &str = "SELECT pika_rollup_watermark($1, $2)";
const FINAL_UNTIL: &str = "SELECT final_until_ms FROM rollup_builds WHERE relation = $1";
/// How much older than what is refreshed regularly buckets are that nobody changes any more.
const FINAL_AFTER_MS: i64 = DAY_MS;

pub(super) const STATEMENTS: &[&str] = &[WATERMARK, FINAL_UNTIL];

impl Builder<'_> {
    pub(super) async fn create_next(&mut self, rollup: Rollup, source: &str) -> Result<(), BuildError> {
        let relation = rollup.relation();
        let final_until = bucket_start(
            self.now() - rollup.tier.refresh_start_ms() - FINAL_AFTER_MS,
            rollup.tier.bucket_ms(),
        );
        self.transact(&format!(
            "{}; INSERT INTO rollup_builds (relation, filled_until_ms, final_until_ms) \
                 VALUES ('{relation}', {MIN_MS}, {final_until}) \
             ON CONFLICT (relation) DO UPDATE \
                 SET filled_until_ms = excluded.filled_until_ms, final_until_ms = excluded.final_until_ms",
            rollup.fill_as(self.template(), &next(rollup), source)
        ))
        .await?;
        tracing::info!(%relation, "making a rollup anew, as its definition has changed");
        Ok(())
    }

    pub(super) async fn drop_next(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let drop = self.drop_statement(&next(rollup))?;
        let relation = rollup.relation();
        self.transact(&format!(
            "{drop}; UPDATE rollup_builds SET filled_until_ms = NULL WHERE relation = '{relation}'"
        ))
        .await?;
        tracing::info!(%relation, "removed an unfinished replacement of another definition");
        Ok(())
    }

    pub(super) async fn drop_former(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        self.transact(&self.drop_statement(&former(rollup))?).await?;
        tracing::info!(relation = %rollup.relation(), "removed the rollup that was replaced");
        Ok(())
    }

    fn drop_statement(&self, relation: &str) -> Result<String, BuildError> {
        Ok(format!("DROP {} {relation}", kind_of_relation(self.found(relation)?.kind)))
    }

    /// Swaps names, and notes up to where what is replaced was complete, and from where on it may lack something.
    pub(super) async fn replace(&mut self, rollups: &[Rollup]) -> Result<(), BuildError> {
        let mut statements = Vec::new();
        let mut sources = HashMap::new();
        for rollup in rollups.iter().copied() {
            let relation = rollup.relation();
            let source = rollup.source().relation;
            let source = sources.get(&source).cloned().unwrap_or(source);
            sources.insert(relation.clone(), next(rollup));
            statements.push(self.rename(&relation, &former(rollup))?);
            statements.push(self.rename(&next(rollup), &relation)?);
            let final_until: TimestampMs = self.client.query_one(FINAL_UNTIL, &[&relation]).await?.get(0);
            statements.push(match self.abilities.kind {
                Kind::Table => format!(
                    "INSERT INTO rollup_changes (tier, start_ms, end_ms) VALUES ('{}', {final_until}, {}); \
                     DELETE FROM rollup_builds WHERE relation = '{relation}'",
                    rollup.tier.name(),
                    self.end_of_bucket(rollup.tier),
                ),
                Kind::Aggregate => {
                    let watermark = self.watermark(rollup).await?;
                    let oldest = self.oldest_whole_bucket(rollup, &source).await?;
                    let filled_until = watermark.map_or(TimestampMs::MIN, |watermark| watermark.min(final_until));
                    let filled_until = oldest.map_or(final_until, |oldest| filled_until.max(oldest));
                    let watermark = watermark.map_or("NULL".to_owned(), |watermark| watermark.to_string());
                    format!(
                        "UPDATE rollup_builds SET watermark_ms = {watermark}, filled_until_ms = {filled_until} \
                         WHERE relation = '{relation}'"
                    )
                }
            });
        }
        self.transact(&statements.join("; ")).await?;
        for rollup in rollups {
            tracing::info!(relation = %rollup.relation(), "replaced a rollup by the one made anew");
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<String, BuildError> {
        let kind = self.found(from)?.kind;
        let rename = format!("ALTER {} {from} RENAME TO {to}", kind_of_relation(kind));
        Ok(match kind {
            Kind::Table => format!("{rename}; ALTER INDEX IF EXISTS {from}_pkey RENAME TO {to}_pkey"),
            Kind::Aggregate => rename,
        })
    }

    /// Up to where a rollup is complete, if it has ever been rolled up.
    async fn watermark(&self, rollup: Rollup) -> Result<Option<TimestampMs>, BuildError> {
        let row = self.client.query_one(WATERMARK, &[&rollup.relation(), &rollup.tier.name()]).await?;
        Ok(row.get::<_, Option<TimestampMs>>(0).filter(|watermark| *watermark != TimestampMs::MIN))
    }
}
