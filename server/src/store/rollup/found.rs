//! The rollups a database has, according to its catalog.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{Definition, Rollup};

/// The relations of these names: whether they are aggregates, the hypertable that holds their rows, the source
/// hypertable of an aggregate, and their columns with types as a definition names them.
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

/// Returns the name of a rollup's replacement while it is built.
pub(super) fn next(rollup: Rollup) -> String {
    format!("{}_next", rollup.relation())
}

/// Returns the name of a rollup after it was replaced.
pub(super) fn former(rollup: Rollup) -> String {
    format!("{}_former", rollup.relation())
}

/// The kind of relation behind a rollup.
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
    /// The hypertable that holds the rows, with its schema: itself, or the one behind the aggregate.
    pub(super) hypertable: String,
    /// The source hypertable of an aggregate, with its schema.
    pub(super) source: Option<String>,
    /// Types by column.
    pub(super) columns: BTreeMap<String, String>,
}

/// The relations of a definition that a database has.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// By name: the tables of raw samples, the rollups, their replacements and replaced ones.
    pub(super) relations: BTreeMap<String, Relation>,
}

impl Found {
    /// Looks up everything that the definition names.
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
