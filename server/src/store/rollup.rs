//! The rollups: which there are, and what each is made of. Both editions' SQL and the queries follow from this one
//! definition, which itself follows from the declared tables; a new metric is one line in the file of its family.
//!
//! What a database has is brought to what the definition says at every start: [`found`] looks, [`plan`] makes ordered
//! steps of the difference, and [`build`] takes them.

pub(super) mod build;
pub(super) mod catch_up;
mod columns;
pub(super) mod community;
mod copy_rows;
mod definition;
mod difference;
mod found;
pub(super) mod marks;
pub(super) mod oldest;
mod pieces;
pub(super) mod plan;
pub(super) mod policies;
mod progress;
mod replace;
pub(super) mod roll;
mod span;
pub(super) mod stale;

use crate::domain::family::Table;
use crate::domain::tier::Tier;

pub use catch_up::RefreshFailure;
pub(super) use columns::{chart_expressions, histogram_expression, sample_expression};
use columns::{histogram_columns, metric_columns};
pub use definition::Definition;

pub(super) const STATEMENTS: [&[&str]; 8] = [
    copy_rows::STATEMENTS,
    found::STATEMENTS,
    marks::STATEMENTS,
    oldest::STATEMENTS,
    pieces::STATEMENTS,
    replace::STATEMENTS,
    roll::STATEMENTS,
    stale::STATEMENTS,
];

/// A column of a rollup.
#[derive(Clone, Debug)]
pub(super) struct RollupColumn {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) sql_type: &'static str,
    /// The aggregate that makes it from raw samples.
    pub(super) from_raw: String,
    /// The aggregate that makes it from the finer rollup's column of the same name.
    pub(super) from_rollup: String,
}

/// What a rollup keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Count, sum, minimum, maximum (and last) of every metric.
    Metrics,
    /// The distribution of one metric.
    Histogram,
}

/// One rollup of one table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollup {
    pub(super) table: Table,
    pub(super) tier: Tier,
    pub(super) content: Content,
}

impl Rollup {
    /// The view or table.
    pub(super) fn relation(self) -> String {
        relation(&self.table, self.tier, self.content)
    }

    /// What it is made of.
    pub(super) fn source(self) -> Source {
        let tier = match (self.content, self.tier) {
            (_, Tier::OneDay) => Tier::OneHour,
            (Content::Metrics, Tier::OneHour) => Tier::OneMinute,
            _ => Tier::Raw,
        };
        Source { relation: relation(&self.table, tier, self.content), tier }
    }

    /// The rollup that it is made of; `None` where that are raw samples.
    pub(super) fn finer(self) -> Option<Rollup> {
        let tier = self.source().tier;
        (tier != Tier::Raw).then_some(Rollup { tier, ..self })
    }

    /// The columns that tell a series from another.
    pub(super) fn key(self) -> String {
        series_key(&self.table)
    }

    /// The columns besides bucket and key.
    pub(super) fn columns(self) -> Vec<RollupColumn> {
        match self.content {
            Content::Metrics => metric_columns(&self.table),
            Content::Histogram => histogram_columns(&self.table),
        }
    }

    /// The aggregate that makes a column from the rollup's source, of the column's type whatever the source's is.
    pub(super) fn expression(self, column: &RollupColumn) -> String {
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

    /// The positions of bucket and key in [`Rollup::select`].
    fn group_by(self) -> &'static str {
        if self.table.series.is_some() { "1, 2, 3" } else { "1, 2" }
    }

    /// Fills a template of `sql/editions`.
    pub(super) fn fill(self, template: &str) -> String {
        self.fill_as(template, &self.relation(), &self.source().relation)
    }

    /// Fills a template of `sql/editions` with other names for the rollup and for what it is made of.
    pub(super) fn fill_as(self, template: &str, relation: &str, source: &str) -> String {
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

/// What a rollup is made of.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) relation: String,
    pub(super) tier: Tier,
}

impl Source {
    /// The column that holds the time.
    pub(super) fn time(&self) -> &'static str {
        time_column(self.tier)
    }
}

/// The column that holds the time in the table or view of a tier.
pub(super) fn time_column(tier: Tier) -> &'static str {
    if tier == Tier::Raw { "ts" } else { "bucket" }
}

/// The table or view of a table's tier.
pub(super) fn relation(table: &Table, tier: Tier, content: Content) -> String {
    match (tier, content) {
        (Tier::Raw, _) => table.name.to_owned(),
        (_, Content::Metrics) => format!("{}_{}", table.name, tier.name()),
        (_, Content::Histogram) => format!("{}_histogram_{}", table.subject(), tier.name()),
    }
}

/// The columns that tell a series from another.
pub(super) fn series_key(table: &Table) -> String {
    match table.series_column() {
        Some(series) => format!("agent_key, {series}"),
        None => "agent_key".to_owned(),
    }
}
