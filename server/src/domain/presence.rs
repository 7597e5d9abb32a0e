//! Agents' presence and availability over time.

use super::TimestampMs;

/// A change of an agent's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// The time of the change.
    pub at: TimestampMs,
    /// Whether the agent is online from then on; `None` if unknown.
    pub online: Option<bool>,
}

/// A half-open span of time with constant presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceSpan {
    /// The first millisecond of the span.
    pub from: TimestampMs,
    /// The first millisecond after the span.
    pub to: TimestampMs,
    /// Whether the agent was online; `None` if unknown.
    pub online: Option<bool>,
}

impl PresenceSpan {
    /// Returns the span's status in the API.
    pub fn status(&self) -> &'static str {
        match self.online {
            Some(true) => "online",
            Some(false) => "offline",
            None => "unknown",
        }
    }
}

/// Divides the time from `start` to `end` into spans; consecutive spans differ. The changes are sorted; presence before
/// the first is unknown.
pub fn spans(changes: &[PresenceChange], start: TimestampMs, end: TimestampMs) -> Vec<PresenceSpan> {
    let mut spans: Vec<PresenceSpan> = Vec::new();
    let first = PresenceChange { at: TimestampMs::MIN, online: None };
    let ends = changes.iter().map(|change| change.at).chain([TimestampMs::MAX]);
    for (change, until) in [&first].into_iter().chain(changes).zip(ends) {
        let (from, to) = (change.at.max(start), until.min(end));
        if to <= from {
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.online == change.online => last.to = to,
            _ => spans.push(PresenceSpan { from, to, online: change.online }),
        }
    }
    spans
}

/// Returns the share of the known time in which an agent was online, in percent; `None` if nothing is known.
#[expect(clippy::cast_precision_loss, reason = "spans of time far below 2^52 milliseconds")]
pub fn uptime_percent(spans: &[PresenceSpan]) -> Option<f64> {
    let total = |online: bool| {
        let of_it = spans.iter().filter(|span| span.online == Some(online));
        of_it.map(|span| span.to - span.from).sum::<i64>() as f64
    };
    let (online, offline) = (total(true), total(false));
    (0.0 < online + offline).then(|| 100.0 * online / (online + offline))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: i64, online: impl Into<Option<bool>>) -> PresenceChange {
        PresenceChange { at, online: online.into() }
    }

    fn found(changes: &[PresenceChange], start: i64, end: i64) -> Vec<(i64, i64, &'static str)> {
        spans(changes, start, end).iter().map(|span| (span.from, span.to, span.status())).collect()
    }

    #[test]
    fn spans_cover_the_range_and_no_two_neighbours_are_the_same() {
        let changes =
            [change(10, true), change(20, false), change(25, false), change(30, true), change(40, None)];
        assert_eq!(
            found(&changes, 0, 50),
            [
                (0, 10, "unknown"),
                (10, 20, "online"),
                (20, 30, "offline"),
                (30, 40, "online"),
                (40, 50, "unknown")
            ]
        );
        assert_eq!(found(&changes, 12, 22), [(12, 20, "online"), (20, 22, "offline")]);
        assert_eq!(found(&changes, 20, 30), [(20, 30, "offline")]);
        assert_eq!(found(&[], 5, 6), [(5, 6, "unknown")]);
        assert_eq!(found(&changes, 6, 6), []);
    }

    #[test]
    fn availability_is_a_share_of_what_is_known() {
        let changes = [change(10, true), change(40, false), change(50, None)];
        assert_eq!(uptime_percent(&spans(&changes, 0, 1_000)), Some(75.0));
        assert_eq!(uptime_percent(&spans(&changes, 0, 10)), None);
        assert_eq!(uptime_percent(&spans(&changes, 40, 50)), Some(0.0));
    }
}
