//! The abilities of a database regarding rollups.

use super::found::Kind;
use crate::store::edition::{DatabaseInfo, Edition};

/// The first TimescaleDB that adds columns to continuous aggregates.
const AGGREGATE_COLUMNS_MIN: (u32, u32) = (2, 28);

/// The abilities of a database.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Abilities {
    /// The kind of its rollups.
    pub(super) kind: Kind,
    /// Whether columns can be added to a rollup that exists.
    pub(super) adds_columns: bool,
}

impl Abilities {
    /// Returns the abilities of a database.
    pub(in crate::store) fn of(database: &DatabaseInfo) -> Self {
        match database.edition {
            Edition::Apache => Self { kind: Kind::Table, adds_columns: true },
            Edition::Community => {
                Self { kind: Kind::Aggregate, adds_columns: database.has_timescaledb(AGGREGATE_COLUMNS_MIN) }
            }
        }
    }
}
