//! Rows of the metric tables.

use pika_protocol::families;
use pika_protocol::family::{Measurement, Numbers, Value};

pub use pika_protocol::family::{CpuNumbers, DiskNumbers, LoadNumbers, MemoryNumbers, NetworkNumbers};

/// A row of a metric table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stored<N> {
    /// The time, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// The agent's key.
    pub agent_key: i32,
    /// The key of the series; 0 if the table has no such column.
    pub series_key: i32,
    /// The measured numbers.
    pub numbers: N,
}

impl<N: Numbers> Stored<N> {
    /// Creates the row of a table with one series per agent.
    pub fn new(ts: i64, agent_key: i32, numbers: N) -> Self {
        Self::of_series(ts, agent_key, 0, numbers)
    }

    /// Creates the row of one of an agent's series.
    pub fn of_series(ts: i64, agent_key: i32, series_key: i32, numbers: N) -> Self {
        Self { ts, agent_key, series_key, numbers }
    }

    /// Calls `receive` with the values in the order of the table's columns.
    #[inline]
    pub fn for_each_value(&self, mut receive: impl FnMut(Value)) {
        receive(Value::Int8(Some(self.ts)));
        receive(Value::Int4(Some(self.agent_key)));
        if N::TABLE.series.is_some() {
            receive(Value::Int4(Some(self.series_key)));
        }
        self.numbers.for_each_value(receive);
    }

    /// Returns the key by which a flush is sorted before it is written, which is the order of the index.
    #[inline]
    fn sort_key(&self) -> (i32, i32, i64) {
        (self.agent_key, self.series_key, self.ts)
    }
}

macro_rules! define_rows {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// Rows of all tables.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Rows {
            $(
                $(#[$doc])*
                pub $field: Vec<Stored<<$measurement as Measurement>::Numbers>>,
            )+
        }

        impl Rows {
            /// Returns the total number of rows.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.len())+
            }

            /// Moves all rows of `other` into `self`, leaving `other` empty.
            pub fn append(&mut self, other: &mut Rows) {
                $(self.$field.append(&mut other.$field);)+
            }

            /// Calls `receive` with agent and time of every row.
            pub fn for_each_agent_and_time(&self, mut receive: impl FnMut(i32, i64)) {
                $(self.$field.iter().for_each(|row| receive(row.agent_key, row.ts));)+
            }

            /// Sorts each table's rows by series and time.
            pub fn sort(&mut self) {
                $(self.$field.sort_unstable_by_key(Stored::sort_key);)+
            }
        }
    };
}
families!(define_rows);

impl Rows {
    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the earliest time of any row.
    pub fn earliest(&self) -> Option<i64> {
        let mut earliest: Option<i64> = None;
        self.for_each_agent_and_time(|_, ts| earliest = Some(earliest.map_or(ts, |known| known.min(ts))));
        earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::family::Table;

    #[test]
    fn a_row_has_a_value_of_the_right_type_for_every_column() {
        fn check<N: Numbers + Default>() {
            let (table, mut types): (&Table, _) = (N::TABLE, Vec::new());
            Stored::<N>::default().for_each_value(|value| types.push(column_type(value)));
            let columns: Vec<_> = table.columns.iter().map(|column| column.column_type).collect();
            assert_eq!(types, columns, "{}", table.name);
        }
        macro_rules! check_all {
            ($($(#[$doc:meta])* $field:ident: $container:ident<$measurement:path> = $families:tt,)+) => {
                $(check::<<$measurement as Measurement>::Numbers>();)+
            };
        }
        families!(check_all);
    }

    fn column_type(value: Value) -> pika_protocol::family::ColumnType {
        use pika_protocol::family::ColumnType;
        match value {
            Value::Int4(_) => ColumnType::Int4,
            Value::Int8(_) => ColumnType::Int8,
            Value::Float4(_) => ColumnType::Float4,
        }
    }
}
