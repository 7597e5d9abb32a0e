//! What a back-test is to find out.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::domain::TimestampMs;
use crate::domain::alert::rule::Rule;

/// What to find out.
#[derive(Clone, Debug)]
pub struct BacktestRequest {
    /// The rule.
    pub rule: Rule,
    /// The first millisecond of the span.
    pub start: TimestampMs,
    /// The first millisecond after it.
    pub end: TimestampMs,
    /// Only these agents of the rule's scope; all if empty.
    pub agent_ids: BTreeSet<Uuid>,
}
