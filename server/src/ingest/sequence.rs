//! Detects missing frames by their sequence numbers, which are consecutive within a connection.

/// What a frame's number shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The frame follows the one before.
    Next,
    /// This many frames in between never arrived.
    Missing(u64),
    /// The number, or a larger one, was seen before.
    Repeated,
}

/// Tracks the frame numbers of one connection.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: Option<u64>,
}

impl Sequence {
    /// Observes a numbered frame.
    pub(super) fn observe(&mut self, seq: u64) -> Step {
        let Some(last) = self.last else {
            self.last = Some(seq);
            return Step::Next;
        };
        self.last = Some(last.max(seq));
        match seq.checked_sub(last) {
            None | Some(0) => Step::Repeated,
            Some(1) => Step::Next,
            Some(distance) => Step::Missing(distance - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_counted() {
        let mut sequence = Sequence::default();
        let steps = [7, 8, 11, 11, 9, 12, u64::MAX, 0].map(|seq| sequence.observe(seq));
        let missing = u64::MAX - 13;
        assert_eq!(
            steps,
            [
                Step::Next,
                Step::Next,
                Step::Missing(2),
                Step::Repeated,
                Step::Repeated,
                Step::Next,
                Step::Missing(missing),
                Step::Repeated
            ]
        );
    }
}
