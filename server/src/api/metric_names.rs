//! The names of families and tiers in the API.

use pika_protocol::families;
use poem_openapi::Enum;
use serde::Serialize;

use crate::domain::family::Family;
use crate::domain::tier::Tier;

macro_rules! define_metric_type {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = [$($family:ident $name:tt),+],
    )+) => {
        /// A family of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
        pub(super) enum MetricType {
            $($(
                #[serde(rename = $name)]
                #[oai(rename = $name)]
                $family,
            )+)+
        }

        impl From<MetricType> for Family {
            fn from(metric_type: MetricType) -> Self {
                match metric_type {
                    $($(MetricType::$family => Family::$family,)+)+
                }
            }
        }

        impl From<Family> for MetricType {
            fn from(family: Family) -> Self {
                match family {
                    $($(Family::$family => MetricType::$family,)+)+
                }
            }
        }
    };
}
families!(define_metric_type);

/// The stored resolution an answer was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "Tier")]
pub(super) enum TierName {
    /// Samples as reported.
    #[serde(rename = "raw")]
    #[oai(rename = "raw")]
    Raw,
    /// Rollups of one minute.
    #[serde(rename = "1m")]
    #[oai(rename = "1m")]
    OneMinute,
    /// Rollups of one hour.
    #[serde(rename = "1h")]
    #[oai(rename = "1h")]
    OneHour,
    /// Rollups of one day.
    #[serde(rename = "1d")]
    #[oai(rename = "1d")]
    OneDay,
}

impl From<Tier> for TierName {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Raw => TierName::Raw,
            Tier::OneMinute => TierName::OneMinute,
            Tier::OneHour => TierName::OneHour,
            Tier::OneDay => TierName::OneDay,
        }
    }
}
