//! The tables and their rollups as a value: the product's own, or a test's.

use super::{Content, Rollup, relation};
use crate::domain::family::Table;
use crate::domain::tier::Tier;

/// The tables of metrics and their rollups, as they should be.
#[derive(Clone, Debug)]
pub struct Definition {
    tables: Vec<Table>,
}

impl Default for Definition {
    /// The product's tables.
    fn default() -> Self {
        Self::new(Table::ALL.map(|table| *table))
    }
}

impl Definition {
    /// Creates the definition of these tables.
    pub fn new(tables: impl Into<Vec<Table>>) -> Self {
        Self { tables: tables.into() }
    }

    /// Returns the tables of raw samples.
    pub(in crate::store) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Returns all rollups, each after its source.
    pub(in crate::store) fn rollups(&self) -> impl Iterator<Item = Rollup> + Clone {
        self.chains().flatten()
    }

    /// Returns the rollups of each table and content, each after its source.
    pub(in crate::store) fn chains(&self) -> impl Iterator<Item = Vec<Rollup>> + Clone {
        self.tables.iter().flat_map(|table| {
            let chain = |tiers: &[Tier], content| {
                tiers.iter().map(|tier| Rollup { table: *table, tier: *tier, content }).collect()
            };
            let metrics = chain(Tier::rollups_of(table), Content::Metrics);
            let histogram =
                table.histogram.map(|_| chain(&[Tier::OneHour, Tier::OneDay], Content::Histogram));
            [Some(metrics), histogram].into_iter().flatten()
        })
    }

    /// Returns every table and view of metrics, its content and its tier; raw samples first.
    pub(in crate::store) fn relations(&self) -> impl Iterator<Item = (String, &'static str, Tier)> {
        let raw = self
            .tables
            .iter()
            .map(|table| (relation(table, Tier::Raw, Content::Metrics), table.subject(), Tier::Raw));
        let rollups = self.rollups().map(|rollup| (rollup.relation(), rollup.table.subject(), rollup.tier));
        raw.chain(rollups)
    }
}
