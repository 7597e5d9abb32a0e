//! The report of `pika-bench storage`.

use pika_server::domain::tier::{DAY_MS, Tier};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::load::{FleetOptions, LoadedFleet};
use crate::machine::Machine;

/// The chunks of a relation in the columnstore.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Columnstore {
    pub(super) n_chunks: i64,
    pub(super) bytes_before: i64,
    pub(super) bytes_after: i64,
}

/// The size of a table or rollup.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) n_rows: i64,
    pub(super) n_chunks: i64,
    pub(super) table_bytes: i64,
    pub(super) index_bytes: i64,
    pub(super) total_bytes: i64,
    /// Community edition only.
    pub(super) columnstore: Option<Columnstore>,
}

impl Relation {
    /// Returns the size if no chunk were in the columnstore.
    fn bytes_as_rows(&self) -> i64 {
        self.columnstore
            .map_or(self.total_bytes, |stats| self.total_bytes - stats.bytes_after + stats.bytes_before)
    }

    /// Sums the relations of a tier.
    fn sum<'a>(name: String, tier: Tier, relations: impl Iterator<Item = &'a Relation>) -> Self {
        let mut sum = Self {
            name,
            tier,
            n_rows: 0,
            n_chunks: 0,
            table_bytes: 0,
            index_bytes: 0,
            total_bytes: 0,
            columnstore: None,
        };
        for relation in relations {
            sum.n_rows += relation.n_rows;
            sum.n_chunks += relation.n_chunks;
            sum.table_bytes += relation.table_bytes;
            sum.index_bytes += relation.index_bytes;
            sum.total_bytes += relation.total_bytes;
            if let Some(stats) = relation.columnstore {
                let known = sum.columnstore.get_or_insert(Columnstore {
                    n_chunks: 0,
                    bytes_before: 0,
                    bytes_after: 0,
                });
                known.n_chunks += stats.n_chunks;
                known.bytes_before += stats.bytes_before;
                known.bytes_after += stats.bytes_after;
            }
        }
        sum
    }
}

impl Serialize for Relation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Relation", 9)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("tier", self.tier.name())?;
        fields.serialize_field("rows", &self.n_rows)?;
        fields.serialize_field("chunks", &self.n_chunks)?;
        fields.serialize_field("tableBytes", &self.table_bytes)?;
        fields.serialize_field("indexBytes", &self.index_bytes)?;
        fields.serialize_field("totalBytes", &self.total_bytes)?;
        fields.serialize_field("totalBytesAsRows", &self.bytes_as_rows())?;
        fields.serialize_field("columnstore", &self.columnstore)?;
        fields.end()
    }
}

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageReport {
    machine: Machine,
    fleet: FleetOptions,
    rows_loaded: i64,
    load_ms: i64,
    rows_per_second: f64,
    roll_up_ms: i64,
    agent_days: f64,
    database_bytes: i64,
    relations: Vec<Relation>,
}

impl StorageReport {
    pub(super) fn new(
        machine: Machine,
        fleet: FleetOptions,
        loaded: &LoadedFleet,
        relations: Vec<Relation>,
        database_bytes: i64,
    ) -> Self {
        let days = quotient(loaded.end - loaded.start, DAY_MS);
        Self {
            machine,
            rows_loaded: loaded.n_rows,
            load_ms: loaded.load_ms,
            rows_per_second: quotient(loaded.n_rows * 1000, loaded.load_ms),
            roll_up_ms: loaded.roll_up_ms,
            agent_days: f64::from(fleet.agents) * days,
            fleet,
            database_bytes,
            relations,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn to_table(&self) -> String {
        let FleetOptions { agents, days, interval_ms, disks, networks } = &self.fleet;
        let mut table = format!(
            "{}\n{agents} agents x {days} days at {interval_ms} ms, {disks} disks, {networks} interfaces: {} rows\n\
             loaded in {:.1} s ({:.0} rows/s), rolled up in {:.1} s; the database takes {} MiB\n\n",
            self.machine,
            self.rows_loaded,
            quotient(self.load_ms, 1000),
            self.rows_per_second,
            quotient(self.roll_up_ms, 1000),
            self.database_bytes >> 20,
        );
        table += &format!(
            "{:<20} {:>4} {:>10} {:>6} {:>9} {:>9} {:>9} {:>8} {:>10}",
            "bytes", "tier", "rows", "chunks", "table MiB", "index MiB", "total MiB", "B/row", "KiB/ag-day"
        );
        let has_columns = self.relations.iter().any(|relation| relation.columnstore.is_some());
        if has_columns {
            table += &format!(
                " | {:>9} {:>6} {:>9} {:>9} {:>6}",
                "as rows", "chunks", "of those", "columns", "ratio"
            );
        }
        table.push('\n');
        for tier in Tier::ALL {
            let of_tier = || self.relations.iter().filter(|relation| relation.tier == tier);
            of_tier().for_each(|relation| self.append_line(&mut table, relation));
            self.append_line(&mut table, &Relation::sum("all of the tier".to_owned(), tier, of_tier()));
        }
        table.truncate(table.trim_end().len());
        table
    }

    fn append_line(&self, table: &mut String, relation: &Relation) {
        let Relation { name, tier, n_rows, n_chunks, table_bytes, index_bytes, total_bytes, columnstore } =
            relation;
        *table += &format!(
            "{name:<20} {:>4} {n_rows:>10} {n_chunks:>6} {:>9.1} {:>9.1} {:>9.1} {:>8.1} {:>10.2}",
            tier.name(),
            quotient(*table_bytes, 1 << 20),
            quotient(*index_bytes, 1 << 20),
            quotient(*total_bytes, 1 << 20),
            quotient(*total_bytes, *n_rows),
            quotient(*total_bytes, 1 << 10) / self.agent_days,
        );
        if let Some(Columnstore { n_chunks, bytes_before, bytes_after }) = columnstore {
            *table += &format!(
                " | {:>9.1} {n_chunks:>6} {:>9.1} {:>9.1} {:>6.1}",
                quotient(relation.bytes_as_rows(), 1 << 20),
                quotient(*bytes_before, 1 << 20),
                quotient(*bytes_after, 1 << 20),
                quotient(*bytes_before, *bytes_after),
            );
        }
        table.push('\n');
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn quotient(one: i64, other: i64) -> f64 {
    if other == 0 { 0.0 } else { one as f64 / other as f64 }
}
