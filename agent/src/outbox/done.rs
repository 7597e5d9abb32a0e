//! The set of samples that are done: acknowledged by the server, or lost.

use std::collections::BTreeMap;

/// A set of sample numbers. New samples are acknowledged before older ones, so it may have gaps; adjacent ranges are
/// merged, so there are about as many ranges as gaps.
#[derive(Debug)]
pub(super) struct Done {
    /// Everything below is in the set.
    below: u64,
    /// Ranges above, from start to end (exclusive); disjoint and not adjacent to each other or to `below`.
    ranges: BTreeMap<u64, u64>,
}

impl Done {
    pub(super) fn new(below: u64) -> Done {
        Done { below, ranges: BTreeMap::new() }
    }

    /// Returns the smallest number that is not in the set.
    pub(super) fn below(&self) -> u64 {
        self.below
    }

    /// Returns the smallest number from `id` on that is not in the set.
    pub(super) fn next_open(&self, id: u64) -> u64 {
        if id < self.below {
            return self.below;
        }
        match self.ranges.range(..=id).next_back() {
            Some((_, &end)) if id < end => end,
            _ => id,
        }
    }

    /// Returns how many numbers below `end` are not in the set.
    pub(super) fn count_open(&self, end: u64) -> u64 {
        let above: u64 = self.ranges.range(..end).map(|(&start, &stop)| stop.min(end) - start).sum();
        end.saturating_sub(self.below).saturating_sub(above)
    }

    /// Removes `start` to `end` (exclusive); everything below `end` must be in the set.
    pub(super) fn reopen(&mut self, start: u64, end: u64) {
        debug_assert!(end <= self.below, "{end} is above {}", self.below);
        if start < end {
            if end < self.below {
                self.ranges.insert(end, self.below);
            }
            self.below = start;
        }
    }

    /// Adds `start` to `end` (exclusive).
    pub(super) fn insert(&mut self, start: u64, end: u64) {
        let mut start = start.max(self.below);
        let mut end = end;
        if end <= start {
            return;
        }
        // Merge every range that overlaps or is adjacent.
        while let Some((&other_start, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other_start);
            end = end.max(other_end);
            self.ranges.remove(&other_start);
        }
        if start <= self.below {
            self.below = end;
        } else {
            self.ranges.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn its_beginning_can_be_taken_out_again(start in 0u64..30, length in 0u64..8, more in 0u64..8, next in 0u64..60) {
            let end = start + length;
            let mut done = Done::new(end + more);
            done.insert(next, next + 3);
            done.reopen(start, end);
            let model = |id: u64| (id < end + more && !(start..end).contains(&id)) || (next..next + 3).contains(&id);
            for id in 0..70 {
                let is_taken_out = (start..end).contains(&id) && (next..next + 3).contains(&id);
                prop_assert!(is_taken_out || (done.next_open(id) != id) == model(id), "{id}: {done:?}");
            }
        }

        #[test]
        fn it_is_a_set(inserts in proptest::collection::vec((0u64..60, 0u64..8), 0..40)) {
            let mut done = Done::new(3);
            let mut model: BTreeSet<u64> = (0..3).collect();
            for (start, length) in inserts {
                done.insert(start, start + length);
                model.extend(start..start + length);
                let open = |id: &u64| !model.contains(id);
                prop_assert_eq!(done.below(), (0..).find(open).unwrap());
                for id in 0..70 {
                    prop_assert_eq!(done.next_open(id), (id..).find(open).unwrap());
                    prop_assert_eq!(done.count_open(id), (0..id).filter(open).count() as u64);
                }
                let mut previous_end = done.below;
                for (&start, &end) in &done.ranges {
                    prop_assert!(previous_end < start && start < end, "ranges touch: {:?}", done);
                    previous_end = end;
                }
            }
        }
    }
}
