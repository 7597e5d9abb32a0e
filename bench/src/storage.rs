//! `pika-bench storage`: the size of a fleet's history, by table and tier, before and after columnstore.

mod outcome;

use clap::Args;
use pika_server::domain::family::Table;
use pika_server::domain::tier::Tier;
use pika_server::store::Edition;

use crate::database::{BenchDatabase, DatabaseOptions};
use crate::error::BenchError;
use crate::interrupt::Interrupt;
use crate::load::{self, FleetOptions, LoadOptions, progress};
use crate::machine::Machine;
use outcome::{Relation, StorageReport};

/// Options of `pika-bench storage`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    fleet: FleetOptions,
    #[command(flatten)]
    load: LoadOptions,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Queries every rollup and its hypertable: itself on the Apache edition, the one behind the aggregate on the Community
/// edition.
const ROLLUPS_APACHE: &str = "SELECT hypertable_name::text, format('%I.%I', hypertable_schema, hypertable_name) \
     FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public' ORDER BY 1";
const ROLLUPS_COMMUNITY: &str = "SELECT view_name::text, \
         format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) \
     FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public' ORDER BY 1";

/// Loads a fleet, measures, and returns the report.
///
/// # Errors
/// If the database cannot be used.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<String, BenchError> {
    let mut database = BenchDatabase::open(&options.database).await?;
    let report = interrupt.or(Box::pin(measure(options, &mut database))).await;
    let report = database.close(report).await?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn measure(options: &Options, database: &mut BenchDatabase) -> Result<StorageReport, BenchError> {
    let loaded = load::load(database, &options.fleet, &options.load).await?;
    progress("converting old chunks to columns, if the edition supports it");
    database.run_columnstore_policies().await?;
    progress("counting rows");
    let mut relations = Vec::new();
    for (name, hypertable) in hypertables(database).await? {
        relations.push(inspect(database, name, &hypertable).await?);
    }
    relations.sort_by(|one, other| (one.tier, &one.name).cmp(&(other.tier, &other.name)));
    let sql = "SELECT pg_database_size(current_database())";
    let database_bytes: i64 = database.client.query_one(sql, &[]).await?.get(0);
    let machine = Machine::inspect(&database.client, &database.info).await?;
    Ok(StorageReport::new(machine, options.fleet.clone(), &loaded, relations, database_bytes))
}

/// Returns names and hypertables of the raw tables and all rollups.
async fn hypertables(database: &BenchDatabase) -> Result<Vec<(String, String)>, BenchError> {
    let raw = Table::ALL.map(|table| (table.name.to_owned(), format!("public.{}", table.name)));
    let sql = match database.info.edition {
        Edition::Apache => ROLLUPS_APACHE,
        Edition::Community => ROLLUPS_COMMUNITY,
    };
    let mut all = raw.to_vec();
    for row in database.client.query(sql, &[]).await? {
        let name: String = row.get(0);
        if tier_of(&name) != Tier::Raw {
            all.push((name, row.get(1)));
        }
    }
    Ok(all)
}

/// Returns the tier, which is the suffix of a rollup's name.
fn tier_of(relation: &str) -> Tier {
    let is_of = |tier: &Tier| relation.ends_with(&format!("_{}", tier.name()));
    Tier::ROLLUPS.into_iter().find(is_of).unwrap_or(Tier::Raw)
}

async fn inspect(database: &BenchDatabase, name: String, hypertable: &str) -> Result<Relation, BenchError> {
    let client = &database.client;
    let sql = "SELECT coalesce(sum(table_bytes), 0)::int8, coalesce(sum(index_bytes), 0)::int8, \
                   coalesce(sum(toast_bytes), 0)::int8, coalesce(sum(total_bytes), 0)::int8 \
               FROM hypertable_detailed_size($1::text::regclass)";
    let sizes = client.query_one(sql, &[&hypertable]).await?;
    let chunks = "SELECT count(*) FROM show_chunks($1::text::regclass)";
    let n_chunks = client.query_one(chunks, &[&hypertable]).await?.get(0);
    let n_rows = client.query_one(&format!("SELECT count(*) FROM {hypertable}"), &[]).await?.get(0);
    let mut relation = Relation {
        tier: tier_of(&name),
        name,
        n_rows,
        n_chunks,
        table_bytes: sizes.get::<_, i64>(0) + sizes.get::<_, i64>(2),
        index_bytes: sizes.get(1),
        total_bytes: sizes.get(3),
        columnstore: None,
    };
    if database.info.edition == Edition::Community {
        let sql = "SELECT coalesce(sum(number_compressed_chunks), 0)::int8, \
                       coalesce(sum(before_compression_total_bytes), 0)::int8, \
                       coalesce(sum(after_compression_total_bytes), 0)::int8 \
                   FROM hypertable_columnstore_stats($1::text::regclass)";
        let stats = client.query_one(sql, &[&hypertable]).await?;
        relation.columnstore = Some(outcome::Columnstore {
            n_chunks: stats.get(0),
            bytes_before: stats.get(1),
            bytes_after: stats.get(2),
        });
    }
    Ok(relation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_names_its_tier() {
        assert_eq!(tier_of("cpu_metrics"), Tier::Raw);
        assert_eq!(tier_of("cpu_metrics_1m"), Tier::OneMinute);
        assert_eq!(tier_of("cpu_histogram_1d"), Tier::OneDay);
    }
}
