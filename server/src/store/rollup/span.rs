//! Spans of whole buckets.

use crate::domain::TimestampMs;
use crate::domain::tier::{Tier, bucket_start};

/// A span of buckets, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Span {
    pub(in crate::store) start: TimestampMs,
    pub(in crate::store) end: TimestampMs,
}

impl Span {
    pub(super) fn of_bucket(timestamp: TimestampMs, tier: Tier) -> Self {
        let start = bucket_start(timestamp, tier.bucket_ms());
        Self { start, end: start + tier.bucket_ms() }
    }

    pub(super) fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Returns the parts before and from a time.
    pub(super) fn split_at(self, at: TimestampMs) -> (Option<Self>, Option<Self>) {
        let before = Self { end: self.end.min(at), ..self };
        let rest = Self { start: self.start.max(at), ..self };
        (Some(before).filter(|span| !span.is_empty()), Some(rest).filter(|span| !span.is_empty()))
    }

    /// Returns the shortest span that covers both.
    pub(super) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the buckets of a coarser tier that the span overlaps.
    pub(super) fn widened(self, tier: Tier) -> Self {
        Self::of_bucket(self.start, tier).to(Self::of_bucket(self.end - 1, tier))
    }

    /// Joins spans that touch or overlap, and sorts them.
    pub(super) fn merged(mut spans: Vec<Self>) -> Vec<Self> {
        spans.sort_unstable();
        let mut merged: Vec<Self> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.start <= last.end => *last = last.to(span),
                _ => merged.push(span),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tier::MINUTE_MS;

    fn span(start_minute: i64, end_minute: i64) -> Span {
        Span { start: start_minute * MINUTE_MS, end: end_minute * MINUTE_MS }
    }

    #[test]
    fn a_span_is_split_where_it_is_not_complete() {
        assert_eq!(span(0, 5).split_at(5 * MINUTE_MS), (Some(span(0, 5)), None));
        assert_eq!(span(0, 5).split_at(3 * MINUTE_MS), (Some(span(0, 3)), Some(span(3, 5))));
        assert_eq!(span(3, 5).split_at(MINUTE_MS), (None, Some(span(3, 5))));
    }

    #[test]
    fn spans_that_touch_are_joined() {
        assert_eq!(
            Span::merged(vec![span(5, 6), span(0, 1), span(1, 3), span(2, 4)]),
            [span(0, 4), span(5, 6)]
        );
    }

    #[test]
    fn a_span_widens_to_the_buckets_it_touches() {
        assert_eq!(span(59, 61).widened(Tier::OneHour), span(0, 120));
        assert_eq!(span(0, 60).widened(Tier::OneHour), span(0, 60));
    }
}
