//! The rollups: which there are, and what each is made of. Both editions' SQL and the queries follow from this one
//! definition, which itself follows from the families' metrics; a new metric is one line in `domain::family`.

pub(super) mod apache;
pub(super) mod catch_up;
mod columns;
pub(super) mod community;
pub(super) mod convert;
pub(super) mod marks;
pub(super) mod oldest;
pub(super) mod policies;
pub(super) mod roll;
mod span;
pub(super) mod stale;

use crate::domain::family::Family;
use crate::domain::tier::Tier;

pub use catch_up::RefreshFailure;
pub(super) use columns::{chart_expressions, sample_expression};
use columns::{histogram_columns, metric_columns};

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

/// One rollup of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rollup {
    pub(super) family: Family,
    pub(super) tier: Tier,
    pub(super) content: Content,
}

impl Rollup {
    /// All rollups, each after the one that it is made of.
    pub(super) fn all() -> Vec<Rollup> {
        let mut all = Vec::new();
        for family in Family::ALL {
            all.extend(Tier::ROLLUPS.map(|tier| Rollup { family, tier, content: Content::Metrics }));
            if family.histogram().is_some() {
                let tiers = [Tier::OneHour, Tier::OneDay];
                all.extend(tiers.map(|tier| Rollup { family, tier, content: Content::Histogram }));
            }
        }
        all
    }

    /// The view or table.
    pub(super) fn relation(self) -> String {
        relation(self.family, self.tier, self.content)
    }

    /// What it is made of.
    pub(super) fn source(self) -> Source {
        let tier = match (self.content, self.tier) {
            (_, Tier::OneDay) => Tier::OneHour,
            (Content::Metrics, Tier::OneHour) => Tier::OneMinute,
            _ => Tier::Raw,
        };
        Source { relation: relation(self.family, tier, self.content), tier }
    }

    /// The rollup that it is made of; `None` where that are raw samples.
    pub(super) fn finer(self) -> Option<Rollup> {
        Self::all().into_iter().find(|finer| finer.relation() == self.source().relation)
    }

    /// The columns that tell a series from another.
    pub(super) fn key(self) -> String {
        series_key(self.family)
    }

    /// The columns besides bucket and key.
    pub(super) fn columns(self) -> Vec<RollupColumn> {
        match self.content {
            Content::Metrics => metric_columns(self.family),
            Content::Histogram => histogram_columns(self.family),
        }
    }

    /// `SELECT … FROM source`: bucket, key, columns.
    pub(super) fn select(self) -> String {
        let source = self.source();
        let expressions: Vec<String> = self
            .columns()
            .into_iter()
            .map(|column| {
                let expression = if source.tier == Tier::Raw { column.from_raw } else { column.from_rollup };
                format!("{expression} AS {}", column.name)
            })
            .collect();
        format!(
            "SELECT time_bucket(BIGINT '{}', {}) AS bucket, {}, {} FROM {}",
            self.tier.bucket_ms(),
            source.time(),
            self.key(),
            expressions.join(", "),
            source.relation
        )
    }

    /// The positions of bucket and key in [`Rollup::select`].
    pub(super) fn group_by(self) -> &'static str {
        if self.family.series_column().is_some() { "1, 2, 3" } else { "1, 2" }
    }

    /// Fills a template of `sql/editions`.
    pub(super) fn fill(self, template: &str) -> String {
        let columns = self.columns();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let key_types: Vec<String> =
            self.key().split(", ").map(|name| format!("{name} int4 NOT NULL")).collect();
        let types: Vec<String> =
            columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
        let updates: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        template
            .replace("{relation}", &self.relation())
            .replace("{select}", &self.select())
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
        if self.tier == Tier::Raw { "ts" } else { "bucket" }
    }
}

/// Every table and view of metrics, raw samples first.
pub(super) fn relations() -> impl Iterator<Item = (String, Family, Tier)> {
    let raw = Family::ALL.map(|family| (relation(family, Tier::Raw, Content::Metrics), family, Tier::Raw));
    let rollups = Rollup::all().into_iter().map(|rollup| (rollup.relation(), rollup.family, rollup.tier));
    raw.into_iter().chain(rollups)
}

/// The table or view of a family's tier.
pub(super) fn relation(family: Family, tier: Tier, content: Content) -> String {
    match (tier, content) {
        (Tier::Raw, _) => family.table().to_owned(),
        (_, Content::Metrics) => format!("{}_{}", family.table(), tier.name()),
        (_, Content::Histogram) => format!("{}_histogram_{}", family.name(), tier.name()),
    }
}

/// The aggregate that makes a histogram from raw samples.
pub(super) fn histogram_expression(family: Family) -> Option<String> {
    histogram_columns(family).into_iter().next().map(|column| column.from_raw)
}

/// The columns that tell a series from another.
pub(super) fn series_key(family: Family) -> String {
    match family.series_column() {
        Some(series) => format!("agent_key, {series}"),
        None => "agent_key".to_owned(),
    }
}
