//! A rollup's relation: its name, columns and source, and the filling of SQL templates for it.

use super::columns::{RollupColumn, histogram_columns, metric_columns};
use crate::domain::family::Table;
use crate::domain::tier::Tier;

/// What a rollup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Content {
    /// Count, sum, minimum, maximum (and last) of every metric.
    Metrics,
    /// The distribution of one metric.
    Histogram,
}

/// One rollup of one table.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Rollup {
    pub(in crate::store) table: Table,
    pub(in crate::store) tier: Tier,
    pub(in crate::store) content: Content,
}

impl Rollup {
    /// Returns the name of the view or table.
    pub(in crate::store) fn relation(self) -> String {
        relation(&self.table, self.tier, self.content)
    }

    /// Returns what it is built from.
    pub(in crate::store) fn source(self) -> Source {
        let tier = match (self.content, self.tier) {
            (_, Tier::OneDay) => Tier::OneHour,
            (Content::Metrics, Tier::OneHour) => Tier::OneMinute.stored(&self.table),
            _ => Tier::Raw,
        };
        Source { relation: relation(&self.table, tier, self.content), tier }
    }

    /// Returns the rollup it is built from; `None` if that is raw samples.
    pub(in crate::store) fn finer(self) -> Option<Rollup> {
        let tier = self.source().tier;
        (tier != Tier::Raw).then_some(Rollup { tier, ..self })
    }

    /// Returns the columns that identify a series.
    pub(in crate::store) fn key(self) -> String {
        series_key(&self.table)
    }

    /// Returns the columns besides bucket and key.
    pub(in crate::store) fn columns(self) -> Vec<RollupColumn> {
        match self.content {
            Content::Metrics => metric_columns(&self.table),
            Content::Histogram => histogram_columns(&self.table),
        }
    }

    /// Returns the aggregate over the rollup's source for a column, in the column's type whatever the source's is.
    pub(in crate::store) fn expression(self, column: &RollupColumn) -> String {
        let aggregate = if self.source().tier == Tier::Raw { &column.from_raw } else { &column.from_rollup };
        format!("({aggregate})::{}", column.sql_type)
    }

    /// `SELECT … FROM source`: bucket, key, columns.
    fn select(self, source: &str) -> String {
        let expressions: Vec<String> = self
            .columns()
            .iter()
            .map(|column| format!("{} AS {}", self.expression(column), column.name))
            .collect();
        format!(
            "SELECT time_bucket(BIGINT '{}', {}) AS bucket, {}, {} FROM {source}",
            self.tier.bucket_ms(),
            self.source().time(),
            self.key(),
            expressions.join(", "),
        )
    }

    /// Returns the positions of bucket and key in [`Rollup::select`].
    fn group_by(self) -> &'static str {
        if self.table.series.is_some() { "1, 2, 3" } else { "1, 2" }
    }

    /// Fills a template of `sql/editions`.
    pub(in crate::store) fn fill(self, template: &str) -> String {
        self.fill_as(template, &self.relation(), &self.source().relation)
    }

    /// Fills a template of `sql/editions` with other names for the rollup and its source.
    pub(in crate::store) fn fill_as(self, template: &str, relation: &str, source: &str) -> String {
        let columns = self.columns();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let key_types: Vec<String> =
            self.key().split(", ").map(|name| format!("{name} int4 NOT NULL")).collect();
        let types: Vec<String> =
            columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
        let updates: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        template
            .replace("{relation}", relation)
            .replace("{select}", &self.select(source))
            .replace("{group_by}", self.group_by())
            .replace("{key}", &self.key())
            .replace("{time}", self.source().time())
            .replace("{names}", &format!("{}, {}", self.key(), names.join(", ")))
            .replace("{columns}", &format!("{}, {}", key_types.join(", "), types.join(", ")))
            .replace("{updates}", &updates.join(", "))
            .replace("{chunk_ms}", &self.tier.chunk_ms().to_string())
    }
}

/// What a rollup is built from.
#[derive(Clone, Debug)]
pub(in crate::store) struct Source {
    pub(in crate::store) relation: String,
    pub(in crate::store) tier: Tier,
}

impl Source {
    /// Returns the name of the time column.
    pub(in crate::store) fn time(&self) -> &'static str {
        time_column(self.tier)
    }
}

/// Returns the name of the time column in the table or view of a tier.
pub(in crate::store) fn time_column(tier: Tier) -> &'static str {
    if tier == Tier::Raw { "ts" } else { "bucket" }
}

/// Returns the table or view of a table's tier.
pub(in crate::store) fn relation(table: &Table, tier: Tier, content: Content) -> String {
    match (tier, content) {
        (Tier::Raw, _) => table.name.to_owned(),
        (_, Content::Metrics) => format!("{}_{}", table.name, tier.name()),
        (_, Content::Histogram) => format!("{}_histogram_{}", table.subject(), tier.name()),
    }
}

/// Returns the columns that identify a series.
pub(in crate::store) fn series_key(table: &Table) -> String {
    match table.series_column() {
        Some(series) => format!("agent_key, {series}"),
        None => "agent_key".to_owned(),
    }
}
