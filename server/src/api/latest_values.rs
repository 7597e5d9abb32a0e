//! The newest values of one agent, generated from each family's declaration.

use std::borrow::Cow;

use pika_protocol::families;
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::rounding::{rounded, rounded_f32};
use crate::domain::family::{self, ColumnType, Field, Measurement, MetricKind, Numbers, Unit};
use crate::store::{LatestMetrics, NewestRow};

macro_rules! define_latest {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// The newest values of an agent, however old they are; each has its own time.
        #[derive(Debug, Object)]
        #[oai(rename = "LatestMetrics", rename_all = "camelCase")]
        pub(super) struct LatestBody {
            /// The agent's id.
            agent_id: Uuid,
            $(
                $(#[$doc])*
                $field: $container<LatestValues<$measurement>>,
            )+
        }

        impl LatestBody {
            pub(super) fn new(agent_id: Uuid, latest: LatestMetrics) -> Self {
                Self { agent_id, $($field: collected!($container, latest.$field),)+ }
            }
        }
    };
}

/// One object, or a list.
macro_rules! collected {
    (Option, $rows:expr) => {
        $rows.into_iter().map(LatestValues).next()
    };
    (Vec, $rows:expr) => {
        $rows.into_iter().map(LatestValues).collect()
    };
}
families!(define_latest);

/// The newest values of one family, for one of its series if there are several.
#[derive(Debug)]
struct LatestValues<M: Measurement>(NewestRow<M::Numbers>);

/// How a number is presented.
struct Shown {
    name: &'static str,
    column_type: ColumnType,
    is_optional: bool,
    description: &'static str,
    /// For amounts: the column they are divided by, and the factor applied to the quotient.
    divisor: Option<(&'static str, f64)>,
}

impl<M: Measurement> LatestValues<M> {
    /// `LatestDisk` for disks.
    fn schema_name() -> String {
        let words = M::Numbers::TABLE.subject().split('_');
        let capitalized = words.map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        });
        format!("Latest{}", capitalized.collect::<String>())
    }

    /// Returns how a field is presented: amounts are shown per second, or per whatever they are divided by, which
    /// itself is not shown.
    fn shown(field: &Field) -> Option<Shown> {
        let metrics = M::Numbers::TABLE.metrics;
        let column = field.column.name;
        let is_divisor = |kind| matches!(kind, MetricKind::Ratio { over, .. } if over == column);
        let gauge = |name| Shown {
            name,
            column_type: field.column.column_type,
            is_optional: field.column.is_optional,
            description: field.doc.trim_start(),
            divisor: None,
        };
        match metrics.iter().find(|metric| metric.column == column) {
            Some(metric) => Some(match metric.kind {
                MetricKind::Gauge { .. } => gauge(metric.name),
                MetricKind::Ratio { over, scale } => Shown {
                    column_type: ColumnType::Float4,
                    is_optional: true,
                    description: quotient(metric.unit),
                    divisor: Some((over, scale)),
                    ..gauge(metric.name)
                },
            }),
            None if metrics.iter().any(|metric| is_divisor(metric.kind)) => None,
            None => Some(gauge(field.api_name)),
        }
    }

    fn object(&self) -> Map<String, Value> {
        let Self(row) = self;
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), row.ts.into());
        let labels = M::Numbers::TABLE.series.iter().flat_map(|series| series.labels);
        for (label, text) in labels.zip(&row.labels.texts) {
            object.insert(label.api_name.to_owned(), text.as_str().into());
        }
        let mut values = Vec::new();
        row.numbers.for_each_value(|value| values.push(value));
        let number = |column: &str| {
            let position = M::FIELDS.iter().position(|field| field.column.name == column)?;
            as_f64(*values.get(position)?)
        };
        for (field, value) in M::FIELDS.iter().zip(&values) {
            if let Some(shown) = Self::shown(field) {
                let value = match shown.divisor {
                    Some((over, scale)) => number(field.column.name)
                        .zip(number(over).filter(|over| 0.0 < *over))
                        .map(|(amount, over)| rounded(amount * scale / over))
                        .into(),
                    None => as_json(*value),
                };
                object.insert(shown.name.to_owned(), value);
            }
        }
        object
    }
}

fn as_json(value: family::Value) -> Value {
    match value {
        family::Value::Int4(value) => value.into(),
        family::Value::Int8(value) => value.into(),
        family::Value::Float4(value) => value.map(rounded_f32).into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
fn as_f64(value: family::Value) -> Option<f64> {
    match value {
        family::Value::Int4(value) => value.map(f64::from),
        family::Value::Int8(value) => value.map(|value| value as f64),
        family::Value::Float4(value) => value.map(f64::from),
    }
}

/// Returns the description of a quotient.
fn quotient(unit: Unit) -> &'static str {
    match unit {
        Unit::BytesPerSecond => "Since the previous sample, in bytes per second; null if unknown.",
        Unit::PerSecond => "Since the previous sample, per second; null if unknown.",
        Unit::PerHour => "Since the previous sample, per hour; null if unknown.",
        Unit::BitsPerSecond => "Since the previous sample, in bits per second; null if unknown.",
        Unit::Percent => "Since the previous sample, in percent; null if unknown.",
        Unit::Milliseconds => "The mean since the previous sample, in milliseconds; null if there is none.",
        Unit::Bytes
        | Unit::Count
        | Unit::Seconds
        | Unit::Celsius
        | Unit::Watts
        | Unit::RevolutionsPerMinute
        | Unit::Hertz
        | Unit::Boolean
        | Unit::Code => "The mean since the previous sample; null if there is none.",
    }
}

impl<M: Measurement> Type for LatestValues<M> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Self::schema_name().into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::schema_name())
    }

    fn register(registry: &mut Registry) {
        let described = |ty, format, description| MetaSchema {
            ty,
            format,
            description: Some(description),
            ..MetaSchema::ANY
        };
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        registry.create_schema::<Self, _>(Self::schema_name(), |_| {
            let time = described(
                "integer",
                Some("int64"),
                "When the sample was taken, in milliseconds since the Unix epoch.",
            );
            let mut properties = vec![("timestamp", inline(time))];
            for label in M::Numbers::TABLE.series.iter().flat_map(|series| series.labels) {
                properties.push((label.api_name, inline(described("string", None, label.doc.trim_start()))));
            }
            let mut required: Vec<&'static str> = properties.iter().map(|(name, _)| *name).collect();
            for shown in M::FIELDS.iter().filter_map(Self::shown) {
                let (ty, format) = match shown.column_type {
                    ColumnType::Int4 => ("integer", "int32"),
                    ColumnType::Int8 => ("integer", "int64"),
                    ColumnType::Float4 => ("number", "double"),
                };
                let schema = described(ty, Some(format), shown.description);
                if !shown.is_optional {
                    required.push(shown.name);
                }
                properties.push((shown.name, inline(MetaSchema { nullable: shown.is_optional, ..schema })));
            }
            let title = Some(Self::schema_name());
            MetaSchema { title, properties, required, ..described("object", None, M::DOC.trim_start()) }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<M: Measurement> ToJSON for LatestValues<M> {
    fn to_json(&self) -> Option<Value> {
        Some(self.object().into())
    }
}

impl<M: Measurement> ParseFromJSON for LatestValues<M> {
    fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::custom("it occurs only in answers"))
    }
}
