//! A sample: the metrics of a machine at one instant, as listed in [`family`](crate::family).
//!
//! Field names are those of the original Pika's agents. Sizes are bytes, and signed so that a negative number is
//! refused by name instead of as a syntax error.

use serde::{Deserialize, Serialize};

use crate::family::PerTable;

/// The data of a `batch` frame: samples in the order in which they were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Batch {
    /// At most [`SAMPLES_PER_FRAME_MAX`](crate::limits::SAMPLES_PER_FRAME_MAX).
    pub samples: Vec<Sample>,
}

macro_rules! define_sample {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// All metrics of one machine at one instant. A family that could not be read is absent.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct Sample {
            /// When the sample was taken, by the agent's own clock, in milliseconds since the Unix epoch.
            pub timestamp: i64,
            /// The offset that the server last told this agent to add to its clock, in milliseconds, as known when the
            /// sample was taken (or, if unknown then, the next one received); absent, unlike 0, if the server has never
            /// sent one. It is part of the sample so that resending stores it at the same time. An agent whose clock
            /// was set since then registers again to get a new offset before it sends samples taken since; otherwise a
            /// sample ahead of the server's clock is stored using the offset derived from its frame's `timestamp`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub clock_offset_ms: Option<i64>,
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Measurements::is_absent")]
                pub $field: $container<$measurement>,
            )+
        }

        impl Sample {
            /// Returns the number of measurements for each table.
            pub fn counts(&self) -> PerTable<usize> {
                PerTable { $($field: self.$field.as_slice().len(),)+ }
            }

            /// Returns the total number of measurements.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.as_slice().len())+
            }

            /// Returns whether there are no measurements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}
crate::families!(define_sample);

/// The measurements of a sample for one table: at most one, or one per series.
trait Measurements {
    fn is_absent(&self) -> bool;
}

impl<T> Measurements for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Measurements for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
