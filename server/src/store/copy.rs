//! The two ways rows of a metric table reach PostgreSQL: binary COPY, and INSERT of whole columns.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt as _;
use tokio_postgres::{Statement, Transaction};

use super::connection::Parameter;
use crate::domain::family::{ColumnType, Numbers, Table, Value};
use crate::domain::row::Stored;

/// Data is passed to the connection in chunks of about this many bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// The signature, flags and extension length that a binary COPY begins with, see
/// <https://www.postgresql.org/docs/current/sql-copy.html>.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Returns the statement that copies rows in.
pub(super) fn copy_statement(table: &Table) -> String {
    format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, column_names(table))
}

/// Returns the statement that inserts the rows not there yet, from one array per column.
pub(super) fn insert_statement(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .zip(1..)
        .map(|(column, number)| format!("${number}::{}[]", type_name(column.column_type)))
        .collect();
    format!(
        "INSERT INTO {} ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
        table.name,
        column_names(table),
        arrays.join(", ")
    )
}

/// Copies rows in; none is stored if one of them exists already. Returns the number of rows.
pub(super) async fn copy_in<N: Numbers>(
    transaction: &Transaction<'_>,
    statement: &Statement,
    rows: &[Stored<N>],
) -> Result<u64, tokio_postgres::Error> {
    let sink = transaction.copy_in::<_, Bytes>(statement).await?;
    let mut sink = std::pin::pin!(sink);
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES + 1024);
    buffer.put_slice(HEADER);
    for row in rows {
        encode(row, &mut buffer);
        if PIECE_BYTES <= buffer.len() {
            sink.send(buffer.split().freeze()).await?;
        }
    }
    buffer.put_i16(-1);
    sink.send(buffer.freeze()).await?;
    sink.finish().await
}

/// Inserts the rows that are not there yet. Returns their number.
pub(super) async fn insert<N: Numbers>(
    transaction: &Transaction<'_>,
    statement: &Statement,
    rows: &[Stored<N>],
) -> Result<u64, tokio_postgres::Error> {
    let mut columns: Vec<Array> =
        N::TABLE.columns.iter().map(|column| Array::new(column.column_type, rows.len())).collect();
    for row in rows {
        let mut columns = columns.iter_mut();
        row.for_each_value(|value| {
            if let Some(column) = columns.next() {
                column.push(value);
            }
        });
    }
    let parameters: Vec<Parameter<'_>> = columns.iter().map(Array::as_parameter).collect();
    transaction.execute(statement, &parameters).await
}

fn encode<N: Numbers>(row: &Stored<N>, buffer: &mut BytesMut) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a dozen columns")]
    buffer.put_i16(N::TABLE.columns.len() as i16);
    row.for_each_value(|value| match value {
        Value::Int4(Some(value)) => {
            buffer.put_i32(4);
            buffer.put_i32(value);
        }
        Value::Int8(Some(value)) => {
            buffer.put_i32(8);
            buffer.put_i64(value);
        }
        Value::Float4(Some(value)) => {
            buffer.put_i32(4);
            buffer.put_f32(value);
        }
        Value::Int4(None) | Value::Int8(None) | Value::Float4(None) => buffer.put_i32(-1),
    });
}

fn column_names(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

pub(super) fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Int4 => "int4",
        ColumnType::Int8 => "int8",
        ColumnType::Float4 => "float4",
    }
}

enum Array {
    Int4(Vec<Option<i32>>),
    Int8(Vec<Option<i64>>),
    Float4(Vec<Option<f32>>),
}

impl Array {
    fn new(column_type: ColumnType, capacity: usize) -> Self {
        match column_type {
            ColumnType::Int4 => Array::Int4(Vec::with_capacity(capacity)),
            ColumnType::Int8 => Array::Int8(Vec::with_capacity(capacity)),
            ColumnType::Float4 => Array::Float4(Vec::with_capacity(capacity)),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Array::Int4(values), Value::Int4(value)) => values.push(value),
            (Array::Int8(values), Value::Int8(value)) => values.push(value),
            (Array::Float4(values), Value::Float4(value)) => values.push(value),
            // A table's columns and values come from one declaration, which gives both the same type.
            _ => debug_assert!(false, "a value of another type than its column"),
        }
    }

    fn as_parameter(&self) -> Parameter<'_> {
        match self {
            Array::Int4(values) => values,
            Array::Int8(values) => values,
            Array::Float4(values) => values,
        }
    }
}
