//! Rolls up, on the Community edition, what a new or replaced aggregate does not hold yet, in pieces.

use super::Rollup;
use super::apache::{Span, merged};
use super::build::{BuildError, Builder};
use super::pieces::next_piece;
use super::progress::Progress;
use crate::domain::TimestampMs;
use crate::domain::tier::{DAY_MS, HOUR_MS, Tier, bucket_start};

const MARKS: &str = "SELECT id, tier, start_ms, end_ms FROM rollup_changes";
const DELETE_MARKS: &str = "DELETE FROM rollup_changes WHERE id = ANY ($1)";

pub(super) const STATEMENTS: &[&str] = &[MARKS, DELETE_MARKS];

/// What is rolled up in one transaction: a few thousand rows of the source for each series.
fn piece_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw | Tier::OneMinute => 6 * HOUR_MS,
        Tier::OneHour => DAY_MS,
        Tier::OneDay => 30 * DAY_MS,
    }
}

impl Builder<'_> {
    /// Rolls up what a rollup lacks, up to where its policy goes on.
    pub(super) async fn refresh(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let Some(filled_until) = self.filled_until(rollup).await? else { return Ok(()) };
        self.refresh_span(rollup, Span { start: filled_until, end: TimestampMs::MAX }, true).await?;
        self.set_filled(rollup).await
    }

    /// Rolls up a span as far as it is complete and has a source, piece by piece.
    async fn refresh_span(&mut self, rollup: Rollup, span: Span, is_noted: bool) -> Result<(), BuildError> {
        let source = self.found(&rollup.source().relation)?.hypertable;
        let end = span.end.min(self.now() - rollup.tier.refresh_end_ms());
        let end = bucket_start(end, rollup.tier.bucket_ms());
        let mut progress = Progress::new(rollup.relation());
        let mut from = span.start;
        while let Some(piece) = next_piece(self.client, &source, from, piece_ms(rollup.tier)).await? {
            let piece = piece.widened(rollup.tier);
            let piece = Span { start: piece.start, end: piece.end.min(end) };
            if piece.end <= piece.start {
                break;
            }
            let call = format!(
                "CALL refresh_continuous_aggregate('{}', {}::int8, {}::int8)",
                rollup.relation(),
                piece.start,
                piece.end
            );
            self.patiently(&call).await?;
            if is_noted {
                self.set_filled_until(rollup, piece.end).await?;
            }
            from = piece.end;
            progress.add(0, piece.end, "rolling up what was stored before");
            self.checkpoint("rolled up a piece")?;
        }
        progress.finish("rolled up what was stored before");
        Ok(())
    }

    /// Rolls up what the Apache edition has marked and not rolled up any more. The marks go when all of it is done.
    pub(in crate::store) async fn refresh_marked(&mut self) -> Result<(), BuildError> {
        let rows = self.client.query(MARKS, &[]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for rollup in self.definition.rollups() {
            let marks = rows.iter().filter_map(|row| {
                let tier = Tier::parse(row.get(1))?;
                let span = Span { start: row.get(2), end: row.get(3) };
                (tier <= rollup.tier).then(|| span.widened(rollup.tier))
            });
            let oldest = self.oldest_whole_bucket(rollup, &rollup.source().relation).await?;
            for span in merged(marks.collect()) {
                let start = span.start.max(oldest.unwrap_or(TimestampMs::MAX));
                self.refresh_span(rollup, Span { start, ..span }, false).await?;
            }
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.client.execute(DELETE_MARKS, &[&ids]).await?;
        tracing::info!(marks = ids.len(), "rolled up what the Apache edition had still to do");
        self.checkpoint("rolled up what was marked")
    }

    /// The first bucket of a rollup whose source still holds all of it; `None` where the source holds nothing. What is
    /// older must not be rolled up again, which would replace it by what is left of its source.
    pub(super) async fn oldest_whole_bucket(
        &self,
        rollup: Rollup,
        source: &str,
    ) -> Result<Option<TimestampMs>, BuildError> {
        let source = self.found(source)?.hypertable;
        let first = next_piece(self.client, &source, TimestampMs::MIN, TimestampMs::MAX).await?;
        let width = rollup.tier.bucket_ms();
        Ok(first.map(|first| bucket_start(first.start + width - 1, width)))
    }
}
