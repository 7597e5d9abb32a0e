//! The families of metrics: each is declared in a file of its own below, and listed here, once. What the server stores,
//! rolls up, shows and refuses is derived from these declarations.

#[macro_use]
mod camel_case;
mod number;
mod table;
#[macro_use]
mod declare;

mod cgroup;
mod core;
mod cpu;
mod disk;
mod disk_io;
mod gpu;
mod link;
mod load;
mod memory;
mod network;
mod pressure;
mod sensor;
mod system;
mod volume;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::core::{CoreMetrics, CoreNumbers};
pub use cgroup::{CgroupMetrics, CgroupNumbers};
pub use cpu::{CpuMetrics, CpuNumbers};
pub use disk::{DiskMetrics, DiskNumbers};
pub use disk_io::{DiskIoMetrics, DiskIoNumbers};
pub use gpu::{GpuMetrics, GpuNumbers};
pub use link::{LinkMetrics, LinkNumbers};
pub use load::{LoadMetrics, LoadNumbers};
pub use memory::{MemoryMetrics, MemoryNumbers};
pub use network::{NetworkMetrics, NetworkNumbers};
pub use number::{Bounds, ColumnType, Number, OutOfBounds, Value};
pub use pressure::{PressureMetrics, PressureNumbers};
pub use sensor::{SensorMetrics, SensorNumbers};
pub use system::{SystemMetrics, SystemNumbers};
pub use table::{
    Column, FamilyMetrics, Field, FinestRollup, Histogram, Label, Metric, MetricKind, Series, SeriesNames,
    Table, Unit,
};
pub use volume::{VolumeMetrics, VolumeNumbers};

/// Passes the list of tables to a macro: `families!(callback)` expands to `callback!` with one line per table,
/// `field: Container<Measurement> = [Family "name", …],`. The container is `Option` where a sample has at most one
/// measurement, and `Vec` where it has one per series.
#[macro_export]
macro_rules! families {
    ($callback:ident) => {
        $callback! {
            /// Processor metrics.
            cpu: Option<$crate::family::CpuMetrics> = [Cpu "cpu"],
            /// Memory and swap.
            memory: Option<$crate::family::MemoryMetrics> = [Memory "memory"],
            /// One entry per mount point.
            disks: Vec<$crate::family::DiskMetrics> = [Disk "disk"],
            /// One entry per interface.
            networks: Vec<$crate::family::NetworkMetrics> = [Network "network"],
            /// Load averages.
            load: Option<$crate::family::LoadMetrics> = [Load "load"],
            /// Waiting, scheduling and paging.
            pressure: Option<$crate::family::PressureMetrics> =
                [Pressure "pressure", Scheduler "scheduler", Paging "paging"],
            /// One entry per block device.
            disk_io: Vec<$crate::family::DiskIoMetrics> = [DiskIo "disk_io"],
            /// Sockets, kernel tables, the parts of memory, and health.
            system: Option<$crate::family::SystemMetrics> =
                [Socket "socket", Kernel "kernel", MemoryDetail "memory_detail", Health "health"],
            /// One entry per interface: packets and state.
            links: Vec<$crate::family::LinkMetrics> = [Link "link"],
            /// One entry per sensor.
            sensors: Vec<$crate::family::SensorMetrics> =
                [Temperature "temperature", Fan "fan", Power "power", Battery "battery"],
            /// One entry per RAID array, pool, file system or drive whose health is known.
            volumes: Vec<$crate::family::VolumeMetrics> = [Volume "volume"],
            /// One entry per container, virtual machine or unit.
            cgroups: Vec<$crate::family::CgroupMetrics> = [Cgroup "cgroup"],
            /// One entry per graphics processor.
            gpus: Vec<$crate::family::GpuMetrics> = [Gpu "gpu"],
            /// One entry per processor core.
            cores: Vec<$crate::family::CoreMetrics> = [Core "core"],
        }
    };
}

/// One entry of a sample for one table: of the machine, or of one of its disks, interfaces and so on.
pub trait Measurement:
    Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The numbers alone, as columns of the table.
    type Numbers: Numbers;
    /// The description of the measurement.
    const DOC: &'static str;
    /// The fields of the numbers, in the order of [`Numbers::for_each_value`].
    const FIELDS: &'static [Field];

    /// Returns the numbers after checking their bounds.
    ///
    /// # Errors
    /// If a number is out of bounds.
    fn numbers(&self) -> Result<Self::Numbers, OutOfBounds>;

    /// Returns the name that identifies the series within its agent; empty where an agent has only one.
    fn name(&self) -> &str;

    /// Calls `receive` with each label of the series, in the order of [`Series::labels`].
    fn for_each_label<'a>(&'a self, receive: impl FnMut(&'static Label, &'a str));
}

/// The numbers of a measurement, as columns of its table.
pub trait Numbers: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The table.
    const TABLE: &'static Table;
    /// Whether earlier numbers of the same series are needed to [complete](Numbers::complete) them.
    const IS_COMPLETED: bool;

    /// Calls `receive` with each value, in the order of the table's columns without time and keys.
    fn for_each_value(&self, receive: impl FnMut(Value));

    /// Builds the numbers from values in the same order; `None` if there are too few, or one has the wrong type.
    fn from_values(next: impl FnMut() -> Option<Value>) -> Option<Self>;

    /// Checks the numbers against one another, and fills in what follows from the newest `earlier` ones of the same
    /// series and the milliseconds since then.
    ///
    /// # Errors
    /// If the numbers contradict one another.
    fn complete(self, earlier: Option<(Self, i64)>) -> Result<Self, &'static str> {
        let _ = earlier;
        Ok(self)
    }
}

/// The column of the time, in milliseconds since the Unix epoch.
pub(crate) const TS: Column = Column { name: "ts", column_type: ColumnType::Int8, is_optional: false };
/// The column of the agent's key.
pub(crate) const AGENT_KEY: Column =
    Column { name: "agent_key", column_type: ColumnType::Int4, is_optional: false };

macro_rules! define_families {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = [$($family:ident $name:tt),+],
    )+) => {
        /// A family of metrics, named as in the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Family {
            $($(
                #[doc = concat!("`", $name, "`")]
                $family,
            )+)+
        }

        impl Family {
            /// All families.
            pub const ALL: [Family; [$($($name),+),+].len()] = [$($(Family::$family),+),+];

            /// Returns the family's name in the API.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Family::$family => $name,)+)+
                }
            }

            /// Returns the table that stores the family, alone or with others.
            pub fn declaration(self) -> &'static Table {
                match self {
                    $($(Family::$family => <<$measurement as Measurement>::Numbers as Numbers>::TABLE,)+)+
                }
            }

            /// Returns the family's metrics, the most important first.
            pub fn metrics(self) -> &'static [Metric] {
                match self {
                    $($(Family::$family => const {
                        table::family(<<$measurement as Measurement>::Numbers as Numbers>::TABLE.families, $name).metrics
                    },)+)+
                }
            }
        }

        impl Table {
            /// All tables.
            pub const ALL: [&'static Table; [$(stringify!($field)),+].len()] =
                [$(<<$measurement as Measurement>::Numbers as Numbers>::TABLE),+];
        }

        /// A `T` for each table.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct PerTable<T> {
            $(
                $(#[$doc])*
                pub $field: T,
            )+
        }

        impl Table {
            /// Returns the field of a sample that the table stores, as named on the wire; empty for a table that is not
            /// in the list.
            pub fn sample_field(&self) -> &'static str {
                let fields = [$((
                    <<$measurement as Measurement>::Numbers as Numbers>::TABLE.name,
                    camel_case!($field),
                )),+];
                fields.into_iter().find(|(name, _)| *name == self.name).map_or("", |(_, field)| field)
            }
        }

        impl<T> PerTable<T> {
            /// Calls `make` for each table.
            pub fn new(mut make: impl FnMut(&'static Table) -> T) -> Self {
                Self { $($field: make(<<$measurement as Measurement>::Numbers as Numbers>::TABLE),)+ }
            }

            /// Iterates over all values, each with its sample field and table.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static Table, &T)> {
                [$((
                    camel_case!($field),
                    <<$measurement as Measurement>::Numbers as Numbers>::TABLE,
                    &self.$field,
                )),+].into_iter()
            }

            /// Like [`iter`](Self::iter), with mutable values.
            pub fn iter_mut(&mut self) -> impl Iterator<Item = (&'static str, &'static Table, &mut T)> {
                [$((
                    camel_case!($field),
                    <<$measurement as Measurement>::Numbers as Numbers>::TABLE,
                    &mut self.$field,
                )),+].into_iter()
            }
        }
    };
}
families!(define_families);

impl Family {
    /// Returns the name of the table of raw samples.
    pub fn table(self) -> &'static str {
        self.declaration().name
    }

    /// Returns the column of the series key, if an agent has several series.
    pub fn series_column(self) -> Option<&'static str> {
        self.declaration().series_column()
    }

    /// Returns the histogram kept for the family's percentiles, if any.
    pub fn histogram(self) -> Option<&'static Histogram> {
        let histogram = self.declaration().histogram.as_ref();
        histogram.filter(|histogram| self.metrics().iter().any(|metric| metric.name == histogram.metric))
    }

    /// Returns the columns of the family's raw table.
    pub fn columns(self) -> &'static [Column] {
        self.declaration().columns
    }
}

impl<T> PerTable<Vec<T>> {
    /// Returns whether there is nothing for any table.
    pub fn is_empty(&self) -> bool {
        self.iter().all(|(_, _, items)| items.is_empty())
    }
}
