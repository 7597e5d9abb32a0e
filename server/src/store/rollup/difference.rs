//! How a relation in the database differs from the rollup it should be.

use super::abilities::Abilities;
use super::columns::possible_columns;
use super::found::{Found, Kind, Relation};
use super::{Rollup, RollupColumn};

/// How a rollup differs from its definition.
#[derive(Clone, Debug)]
pub(super) enum Difference {
    /// None.
    None,
    /// The rollup does not exist.
    Missing,
    /// Columns differ in a way that can be changed in place.
    Columns {
        /// Columns to add.
        added: Vec<RollupColumn>,
        /// Retired columns to drop.
        dropped: Vec<String>,
    },
    /// The rollup has to be rebuilt.
    All,
}

/// Returns how a relation differs from a rollup.
pub(super) fn difference(
    found: &Found,
    rollup: Rollup,
    relation: &Relation,
    abilities: Abilities,
) -> Difference {
    let columns = rollup.columns();
    let has_other_type = columns
        .iter()
        .any(|column| relation.columns.contains_key(&column.name) && !has_column(relation, column));
    let source = found.relations.get(&rollup.source().relation);
    if relation.kind != abilities.kind || has_other_type || !is_made_of(relation, source) {
        return Difference::All;
    }
    let is_missing = |column: &RollupColumn| !relation.columns.contains_key(&column.name);
    let added: Vec<RollupColumn> = columns.into_iter().filter(is_missing).collect();
    let dropped = retired(rollup, relation);
    let can_add = added.is_empty() || abilities.adds_columns;
    let can_drop = dropped.is_empty() || abilities.kind == Kind::Table;
    match (added.is_empty(), dropped.is_empty()) {
        (true, true) => Difference::None,
        _ if can_add && can_drop => Difference::Columns { added, dropped },
        _ => Difference::All,
    }
}

/// Returns whether a relation matches a rollup built from `source`.
pub(super) fn fits(rollup: Rollup, relation: &Relation, source: Option<&Relation>, kind: Kind) -> bool {
    relation.kind == kind
        && is_made_of(relation, source)
        && rollup.columns().iter().all(|column| has_column(relation, column))
        && retired(rollup, relation).is_empty()
}

/// Returns whether an aggregate is built from a relation; a table is built from whatever the server rolls up into it.
fn is_made_of(relation: &Relation, source: Option<&Relation>) -> bool {
    relation.source.is_none() || relation.source.as_ref() == source.map(|source| &source.hypertable)
}

fn has_column(relation: &Relation, column: &RollupColumn) -> bool {
    relation.columns.get(&column.name).is_some_and(|sql_type| sql_type == column.sql_type)
}

/// Returns the columns of a relation that are to be dropped.
fn retired(rollup: Rollup, relation: &Relation) -> Vec<String> {
    let wanted = rollup.columns();
    let retired = rollup.table.retired.iter().flat_map(|column| possible_columns(&rollup.table, column));
    retired
        .filter(|name| {
            relation.columns.contains_key(name) && wanted.iter().all(|column| column.name != *name)
        })
        .collect()
}
