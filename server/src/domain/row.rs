//! The rows of the five metric tables. Each is defined once, here; COPY, INSERT and tests follow from it.

/// A database type of a metric column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 32-bit integer.
    Int4,
    /// 64-bit integer.
    Int8,
    /// 32-bit floating point.
    Float4,
}

/// A column of a metric table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// Its type in the database.
    pub column_type: ColumnType,
}

/// A value of a metric column; `None` is NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// For [`ColumnType::Int4`].
    Int4(Option<i32>),
    /// For [`ColumnType::Int8`].
    Int8(Option<i64>),
    /// For [`ColumnType::Float4`].
    Float4(Option<f32>),
}

/// A row of a metric table.
pub trait MetricRow: Copy + Send + Sync + 'static {
    /// The table's name.
    const TABLE: &'static str;
    /// The columns, in the order of [`MetricRow::for_each_value`].
    const COLUMNS: &'static [Column];

    /// Hands out the values in the order of the columns.
    fn for_each_value(&self, receive: impl FnMut(Value));

    /// The key of the row's series, by which a flush is sorted before it is written: neighbours in the index are
    /// then neighbours in the flush.
    fn sort_key(&self) -> (i32, i32, i64);
}

trait ColumnValue: Copy {
    const TYPE: ColumnType;
    fn value(self) -> Value;
}

macro_rules! column_value {
    ($rust:ty, $variant:ident) => {
        impl ColumnValue for $rust {
            const TYPE: ColumnType = ColumnType::$variant;
            fn value(self) -> Value {
                Value::$variant(Some(self))
            }
        }
        impl ColumnValue for Option<$rust> {
            const TYPE: ColumnType = ColumnType::$variant;
            fn value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}
column_value!(i32, Int4);
column_value!(i64, Int8);
column_value!(f32, Float4);

macro_rules! metric_row {
    ($(#[$doc:meta])* $name:ident, $table:literal, series $series:tt, { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl MetricRow for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [Column] = &[
                $(Column { name: stringify!($field), column_type: <$type as ColumnValue>::TYPE },)*
            ];

            #[inline]
            fn for_each_value(&self, mut receive: impl FnMut(Value)) {
                $(receive(self.$field.value());)*
            }

            #[inline]
            fn sort_key(&self) -> (i32, i32, i64) {
                (self.agent_key, metric_row!(@series self $series), self.ts)
            }
        }
    };
    (@series $self:ident none) => { 0 };
    (@series $self:ident $column:ident) => { $self.$column };
}

metric_row!(
    /// A row of `cpu_metrics`.
    CpuRow, "cpu_metrics", series none, {
        /// When, in milliseconds since the Unix epoch.
        ts: i64,
        /// Whose.
        agent_key: i32,
        /// Logical cores.
        core_count: i32,
        /// Percent not idle.
        usage_percent: f32,
        /// Percent in user mode.
        user_percent: Option<f32>,
        /// Percent in the kernel.
        system_percent: Option<f32>,
        /// Percent waiting for disks.
        iowait_percent: Option<f32>,
        /// Percent taken by the hypervisor.
        steal_percent: Option<f32>,
    }
);

metric_row!(
    /// A row of `memory_metrics`.
    MemoryRow, "memory_metrics", series none, {
        /// When, in milliseconds since the Unix epoch.
        ts: i64,
        /// Memory in bytes.
        total_bytes: i64,
        /// Total minus available.
        used_bytes: i64,
        /// Unused altogether.
        free_bytes: i64,
        /// To be had without swapping.
        available_bytes: Option<i64>,
        /// Swap in bytes.
        swap_total_bytes: Option<i64>,
        /// Swap in use.
        swap_used_bytes: Option<i64>,
        /// Whose.
        agent_key: i32,
        /// Percent used.
        usage_percent: f32,
    }
);

metric_row!(
    /// A row of `disk_metrics`: one mount point.
    DiskRow, "disk_metrics", series disk_key, {
        /// When, in milliseconds since the Unix epoch.
        ts: i64,
        /// Size in bytes.
        total_bytes: i64,
        /// Bytes in use.
        used_bytes: i64,
        /// Bytes to be had.
        free_bytes: i64,
        /// Whose.
        agent_key: i32,
        /// Which disk of the agent.
        disk_key: i32,
        /// Percent used.
        usage_percent: f32,
        /// Percent of inodes used.
        inodes_usage_percent: Option<f32>,
    }
);

metric_row!(
    /// A row of `network_metrics`: one interface.
    NetworkRow, "network_metrics", series interface_key, {
        /// When, in milliseconds since the Unix epoch.
        ts: i64,
        /// The kernel's counter.
        received_bytes_total: i64,
        /// The kernel's counter.
        sent_bytes_total: i64,
        /// Received since the previous sample.
        received_bytes: Option<i64>,
        /// Sent since the previous sample.
        sent_bytes: Option<i64>,
        /// What the two above cover.
        interval_ms: Option<i64>,
        /// Packets received in error since the previous sample.
        receive_errors: Option<i64>,
        /// Packets not sent since the previous sample.
        send_errors: Option<i64>,
        /// Whose.
        agent_key: i32,
        /// Which interface of the agent.
        interface_key: i32,
    }
);

metric_row!(
    /// A row of `load_metrics`.
    LoadRow, "load_metrics", series none, {
        /// When, in milliseconds since the Unix epoch.
        ts: i64,
        /// Whose.
        agent_key: i32,
        /// Over one minute.
        load1: f32,
        /// Over five minutes.
        load5: f32,
        /// Over fifteen minutes.
        load15: f32,
    }
);

/// Rows of all five tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// For `cpu_metrics`.
    pub cpu: Vec<CpuRow>,
    /// For `memory_metrics`.
    pub memory: Vec<MemoryRow>,
    /// For `disk_metrics`.
    pub disk: Vec<DiskRow>,
    /// For `network_metrics`.
    pub network: Vec<NetworkRow>,
    /// For `load_metrics`.
    pub load: Vec<LoadRow>,
}

impl Rows {
    /// How many rows there are in all.
    pub fn len(&self) -> usize {
        self.cpu.len() + self.memory.len() + self.disk.len() + self.network.len() + self.load.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the rows of `other` to the end.
    pub fn append(&mut self, other: &mut Rows) {
        self.cpu.append(&mut other.cpu);
        self.memory.append(&mut other.memory);
        self.disk.append(&mut other.disk);
        self.network.append(&mut other.network);
        self.load.append(&mut other.load);
    }

    /// Hands out agent and time of every row.
    pub fn for_each_agent_and_time(&self, mut receive: impl FnMut(i32, i64)) {
        self.cpu.iter().for_each(|row| receive(row.agent_key, row.ts));
        self.memory.iter().for_each(|row| receive(row.agent_key, row.ts));
        self.disk.iter().for_each(|row| receive(row.agent_key, row.ts));
        self.network.iter().for_each(|row| receive(row.agent_key, row.ts));
        self.load.iter().for_each(|row| receive(row.agent_key, row.ts));
    }

    /// The earliest time of any row.
    pub fn earliest(&self) -> Option<i64> {
        let mut earliest: Option<i64> = None;
        self.for_each_agent_and_time(|_, ts| earliest = Some(earliest.map_or(ts, |known| known.min(ts))));
        earliest
    }

    /// Sorts each table's rows by series and time.
    pub fn sort(&mut self) {
        self.cpu.sort_unstable_by_key(MetricRow::sort_key);
        self.memory.sort_unstable_by_key(MetricRow::sort_key);
        self.disk.sort_unstable_by_key(MetricRow::sort_key);
        self.network.sort_unstable_by_key(MetricRow::sort_key);
        self.load.sort_unstable_by_key(MetricRow::sort_key);
    }
}
