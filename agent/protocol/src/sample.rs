//! What one sample holds: the metrics of a machine at one instant, as [`family`](crate::family) lists them.
//!
//! Field names are those that agents of the original Pika already send; sizes are bytes.
//! Sizes are signed so that a negative number is refused by name instead of as a syntax error.

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
            /// What the server last told this agent to add to its clock, in milliseconds, as known when the sample
            /// was taken, or told next where it was not known then; absent where the agent has never been told anything, which is not
            /// the same as 0. It travels with the sample so that a replay is stored at the same time as the first try. An agent whose
            /// clock was set since it was told registers anew to be told again, before it sends what it has taken since; where one does
            /// not, a sample that lies ahead of the server's clock is stored by the offset that its frame's `timestamp` shows.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub clock_offset_ms: Option<i64>,
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Measurements::is_absent")]
                pub $field: $container<$measurement>,
            )+
        }

        impl Sample {
            /// How many measurements it holds for each table.
            pub fn counts(&self) -> PerTable<usize> {
                PerTable { $($field: self.$field.as_slice().len(),)+ }
            }

            /// How many measurements it holds in all.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.as_slice().len())+
            }

            /// Whether it holds none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}
crate::families!(define_sample);

/// What a sample holds of one table: one measurement at most, or one a series.
trait Measurements {
    /// Whether there is none.
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
