//! Creates the tables of raw samples, and columns of them, that the definition has and the database lacks.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Client;

use super::copy;
use super::rollup::{self, Definition};
use crate::domain::family::{Column, ColumnType, Table};
use crate::domain::tier::Tier;

const RAW: &str = include_str!("../../../sql/tables/raw.sql");

const COLUMNS: &str = "SELECT relname::text, attname::text \
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
     WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1::text[]) AND 0 < attnum AND NOT attisdropped";

pub(super) const STATEMENTS: &[&str] = &[COLUMNS];

/// Makes the tables match the definition. Existing ones stay as they are; a new column is NULL in earlier rows.
pub(super) async fn bring(client: &Client, definition: &Definition) -> Result<(), tokio_postgres::Error> {
    let names: Vec<&str> = definition.tables().iter().map(|table| table.name).collect();
    let mut found: HashMap<String, HashSet<String>> = HashMap::new();
    for row in client.query(COLUMNS, &[&names]).await? {
        found.entry(row.get(0)).or_default().insert(row.get(1));
    }
    for table in definition.tables() {
        match found.get(table.name) {
            None => {
                tracing::info!(table = table.name, "creating a table of samples");
                client.batch_execute(&create(table)).await?;
            }
            Some(columns) => {
                for column in table.columns.iter().filter(|column| !columns.contains(column.name)) {
                    tracing::info!(table = table.name, column = column.name, "adding a column of samples");
                    client.batch_execute(&add(table, *column)).await?;
                }
            }
        }
    }
    Ok(())
}

/// The columns in an order that wastes no space on alignment: the time first, then those of eight bytes.
fn create(table: &Table) -> String {
    let mut columns = table.columns.to_vec();
    columns.sort_by_key(|column| column.column_type != ColumnType::Int8);
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let null = if column.is_optional { "" } else { " NOT NULL" };
            format!("{} {}{null}", column.name, copy::type_name(column.column_type))
        })
        .collect();
    RAW.replace("{relation}", table.name)
        .replace("{columns}", &columns.join(", "))
        .replace("{key}", &rollup::series_key(table))
        .replace("{chunk_ms}", &Tier::Raw.chunk_ms().to_string())
}

fn add(table: &Table, column: Column) -> String {
    format!("ALTER TABLE {} ADD COLUMN {} {}", table.name, column.name, copy::type_name(column.column_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::family::Family;

    /// The template creates what the migration created for the first five.
    #[test]
    fn the_template_is_as_the_released_tables_are() {
        let sql = create(Family::Network.declaration());
        let columns = "ts int8 NOT NULL, received_bytes_total int8 NOT NULL, sent_bytes_total int8 NOT NULL, \
                       received_bytes int8, sent_bytes int8, interval_ms int8, receive_errors int8, send_errors int8, \
                       agent_key int4 NOT NULL, interface_key int4 NOT NULL";
        let expected =
            format!("CREATE TABLE network_metrics ({columns}, PRIMARY KEY (agent_key, interface_key, ts));");
        assert!(sql.contains(&expected), "{sql}");
    }
}
