//! The parameter for the width of an answer's buckets.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};

/// The width of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    /// This many milliseconds.
    Ms(i64),
    /// The samples themselves.
    Raw,
}

/// The value for [`Interval::Raw`].
const RAW: &str = "raw";

impl Interval {
    /// Returns the width in milliseconds, if there is one.
    pub(super) fn ms(self) -> Option<i64> {
        match self {
            Interval::Ms(ms) => Some(ms),
            Interval::Raw => None,
        }
    }
}

impl Type for Interval {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "interval".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        let milliseconds = MetaSchema::new_with_format("integer", "int64");
        let raw = MetaSchema { enum_items: vec![RAW.into()], ..MetaSchema::new("string") };
        inline(MetaSchema { one_of: vec![inline(milliseconds), inline(raw)], ..MetaSchema::ANY })
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Interval {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        if value == RAW {
            return Ok(Interval::Raw);
        }
        value.parse().map(Interval::Ms).map_err(ParseError::custom)
    }
}
