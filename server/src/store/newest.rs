//! The newest values of one agent: the newest row of each of its series.

use futures_util::future::try_join_all;
use pika_protocol::families;
use tokio_postgres::Row;

use super::series_names::NamingTable;
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::family::{ColumnType, Measurement, Numbers, PerTable, Table, Value};
use crate::domain::id::AgentKey;
use crate::domain::series::SeriesLabels;
use crate::domain::tier::DAY_MS;

/// The time of an agent's newest sample of any family.
const NEWEST: &str = "SELECT ts FROM agent_latest WHERE agent_key = $1";

pub(super) const STATEMENTS: &[&str] = &[NEWEST];

/// How much older than the newest sample overall a family's newest sample is at first expected to be.
const FAMILIES_APART_MS: i64 = DAY_MS;

/// A disk or interface last reported this long before the newest one is gone from its machine.
const SERIES_GONE_MS: i64 = 5 * 60 * 1000;

/// The newest row of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct NewestRow<N> {
    /// When the sample was taken.
    pub ts: TimestampMs,
    /// The labels of the series; empty in tables with one series per agent.
    pub labels: SeriesLabels,
    /// The measured values.
    pub numbers: N,
}

/// Returns the statement that reads the newest row of each series of an agent that is not older than a bound: agent,
/// bound → time, numbers, and for tables with several series their labels, by which they are sorted. The planner sees
/// the bound as a constant, so it looks at no older chunk.
pub(super) fn statement(table: &Table) -> String {
    let columns: String =
        table.number_columns().iter().map(|column| format!(", latest.{}", column.name)).collect();
    let newest = |is_of_series: &str| {
        format!(
            "SELECT * FROM {} AS m WHERE m.agent_key = $1{is_of_series} AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1",
            table.name
        )
    };
    match (NamingTable::of(table), table.series_column()) {
        (Some(naming), Some(key)) => format!(
            "SELECT latest.ts{columns}, {labels} FROM {names} AS names \
             CROSS JOIN LATERAL ({newest}) AS latest WHERE names.agent_key = $1{is_of_kind} ORDER BY names.{identifier}",
            labels = naming.labels("names"),
            names = naming.name(),
            newest = newest(&format!(" AND m.{key} = names.key")),
            is_of_kind = naming.is_of_kind("names"),
            identifier = naming.identifier(),
        ),
        _ => format!("SELECT latest.ts{columns} FROM ({}) AS latest", newest("")),
    }
}

macro_rules! define_latest_metrics {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// The newest row of each series of an agent.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct LatestMetrics {
            $(
                $(#[$doc])*
                pub $field: Vec<NewestRow<<$measurement as Measurement>::Numbers>>,
            )+
        }

        impl From<PerTable<Vec<Row>>> for LatestMetrics {
            fn from(rows: PerTable<Vec<Row>>) -> Self {
                Self { $($field: newest_rows(&rows.$field),)+ }
            }
        }
    };
}
families!(define_latest_metrics);

impl Store {
    /// Returns the newest values of an agent, however old they are.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn latest_metrics(&self, agent: AgentKey) -> Result<LatestMetrics, Error> {
        let mut connection = self.connection().await?;
        let newest = connection.query_opt(NEWEST, &[&agent.0]).await?;
        let newest: Option<TimestampMs> = newest.map(|row| row.get(0));
        let mut statements = Vec::new();
        for table in Table::ALL {
            statements.push(connection.prepare(&statement(table)).await?);
        }
        let client = connection.client();
        let mut rows = PerTable::<Vec<Row>>::default();
        // What is not found in the expected span was last reported long before, or never.
        for since in newest.map(|newest| newest - FAMILIES_APART_MS).into_iter().chain([i64::MIN]) {
            let missing = rows.iter_mut().zip(&statements).filter(|((_, _, rows), _)| rows.is_empty());
            try_join_all(missing.map(async |((_, _, rows), statement)| {
                *rows = client.query(statement, &[&agent.0, &since]).await?;
                Ok::<_, Error>(())
            }))
            .await?;
        }
        Ok(LatestMetrics::from(rows))
    }
}

/// Returns the rows of series that still exist on the machine.
fn newest_rows<N: Numbers>(rows: &[Row]) -> Vec<NewestRow<N>> {
    let mut newest_rows: Vec<NewestRow<N>> = rows.iter().filter_map(newest_row).collect();
    if let Some(newest) = newest_rows.iter().map(|row| row.ts).max() {
        newest_rows.retain(|row| newest - SERIES_GONE_MS <= row.ts);
    }
    newest_rows
}

/// Reads a row of [`statement`]; `None` if it is not one.
fn newest_row<N: Numbers>(row: &Row) -> Option<NewestRow<N>> {
    let columns = N::TABLE.number_columns();
    let mut numbers = columns.iter().zip(1..);
    Some(NewestRow {
        ts: row.get(0),
        labels: match N::TABLE.series {
            Some(_) => SeriesLabels { texts: row.get(1 + columns.len()) },
            None => SeriesLabels::default(),
        },
        numbers: N::from_values(|| {
            let (column, index) = numbers.next()?;
            Some(match column.column_type {
                ColumnType::Int4 => Value::Int4(row.get(index)),
                ColumnType::Int8 => Value::Int8(row.get(index)),
                ColumnType::Float4 => Value::Float4(row.get(index)),
            })
        })?,
    })
}
