//! What a database has of the rollups, as its catalog says.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{Definition, Rollup};

/// The relations of these names: whether they are aggregates, the hypertable that holds their rows, the one that an
/// aggregate is made of, and their columns with types as a definition calls them.
const RELATIONS: &str = "SELECT class.relname::text, view_name IS NOT NULL, \
         CASE WHEN view_name IS NULL THEN format('public.%I', class.relname) \
              ELSE format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) END, \
         CASE WHEN view_name IS NOT NULL THEN format('%I.%I', hypertable_schema, hypertable_name) END, \
         array_agg(attname::text ORDER BY attnum), \
         array_agg(CASE WHEN typcategory = 'A' THEN substr(typname::text, 2) || '[]' ELSE typname::text END \
                   ORDER BY attnum) \
     FROM pg_class AS class \
     JOIN pg_attribute ON attrelid = class.oid AND 0 < attnum AND NOT attisdropped \
     JOIN pg_type AS type ON type.oid = atttypid \
     LEFT JOIN timescaledb_information.continuous_aggregates \
         ON (view_schema, view_name) = ('public', class.relname) \
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND class.relname = ANY ($1) \
     GROUP BY class.relname, view_name, materialization_hypertable_schema, materialization_hypertable_name, \
         hypertable_schema, hypertable_name";

pub(super) const STATEMENTS: &[&str] = &[RELATIONS];

/// What a rollup is called while it is made, beside the one that it will replace.
pub(super) fn next(rollup: Rollup) -> String {
    format!("{}_next", rollup.relation())
}

/// What a rollup is called when another has replaced it.
pub(super) fn former(rollup: Rollup) -> String {
    format!("{}_former", rollup.relation())
}

/// What kind of relation keeps a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A hypertable that the server rolls up.
    Table,
    /// A continuous aggregate.
    Aggregate,
}

/// A relation of the database.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) kind: Kind,
    /// The hypertable that holds the rows: itself, or the one behind the aggregate; with its schema.
    pub(super) hypertable: String,
    /// The hypertable that an aggregate is made of; with its schema.
    pub(super) source: Option<String>,
    /// Types by column.
    pub(super) columns: BTreeMap<String, String>,
}

/// What a database has of a definition.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// By name; the tables of raw samples, the rollups, and those that replace them or have been replaced.
    pub(super) relations: BTreeMap<String, Relation>,
}

impl Found {
    /// Looks for everything that the definition names.
    pub(super) async fn inspect(
        client: &Client,
        definition: &Definition,
    ) -> Result<Self, tokio_postgres::Error> {
        let raw = definition.tables().iter().map(|table| table.name.to_owned());
        let rollups =
            definition.rollups().flat_map(|rollup| [rollup.relation(), next(rollup), former(rollup)]);
        let names: Vec<String> = raw.chain(rollups).collect();
        let rows = client.query(RELATIONS, &[&names]).await?;
        let relation = |row: &tokio_postgres::Row| {
            let is_aggregate: bool = row.get(1);
            let names: Vec<String> = row.get(4);
            let types: Vec<String> = row.get(5);
            let relation = Relation {
                kind: if is_aggregate { Kind::Aggregate } else { Kind::Table },
                hypertable: row.get(2),
                source: row.get(3),
                columns: names.into_iter().zip(types).collect(),
            };
            (row.get(0), relation)
        };
        Ok(Self { relations: rows.iter().map(relation).collect() })
    }
}
