//! List parameters of an event stream.

use std::borrow::Cow;
use std::collections::BTreeSet;

use poem_openapi::Enum;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

use super::fleet_event::EventType;

/// Maximum agents one stream may name.
pub(super) const AGENT_IDS_MAX: usize = 200;

/// A kind of event that can be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum EventKind {
    /// Newest values.
    Metrics,
    /// Agents going online and offline.
    Status,
    /// Agents being enrolled, changed and deleted.
    Agents,
    /// The start of the stream.
    Hello,
    /// Alerts that fire, change and end.
    Alert,
}

impl From<EventKind> for EventType {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Metrics => EventType::Metrics,
            EventKind::Status => EventType::Status,
            EventKind::Agents => EventType::Agents,
            EventKind::Hello => EventType::Hello,
            EventKind::Alert => EventType::Alert,
        }
    }
}

/// Kinds of events, separated by commas or in repeated parameters.
#[derive(Clone, Debug)]
pub(super) struct EventKinds(Vec<EventKind>);

impl EventKinds {
    /// Returns the types of the events.
    pub(super) fn types(self) -> Vec<EventType> {
        self.0.into_iter().map(EventType::from).collect()
    }
}

impl Type for EventKinds {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Vec::<EventKind>::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Vec::<EventKind>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        EventKind::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for EventKinds {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Self::parse_from_parameters([value])
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let mut kinds = Vec::new();
        for value in values {
            for name in value.as_ref().split(',') {
                kinds.push(EventKind::parse_from_parameter(name.trim()).map_err(ParseError::propagate)?);
            }
        }
        Ok(Self(kinds))
    }
}

/// The agents of a stream. This was a single one once, so both forms are accepted.
#[derive(Clone, Debug)]
pub(super) struct AgentIds(pub(super) BTreeSet<Uuid>);

impl Type for AgentIds {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "agent ids".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        let several = MetaSchema {
            items: Some(Box::new(Uuid::schema_ref())),
            max_items: Some(AGENT_IDS_MAX),
            ..MetaSchema::new("array")
        };
        inline(MetaSchema { one_of: vec![Uuid::schema_ref(), inline(several)], ..MetaSchema::ANY })
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for AgentIds {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Self::parse_from_parameters([value])
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let ids: Result<BTreeSet<Uuid>, _> = values.into_iter().map(|value| value.as_ref().parse()).collect();
        Ok(Self(ids.map_err(ParseError::custom)?))
    }
}
