//! Buckets of time: whole hours or days in UTC. The first and the last bucket can be cut by the range.

use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;

/// The width of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Hour,
    Day,
}

/// Length of the hours that the counters count, in seconds.
const HOUR: u64 = 3_600;

impl Width {
    fn seconds(self) -> u64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
        }
    }
}

/// The time from `start` to before `end`, in Unix seconds. Both are whole hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub start: u64,
    pub end: u64,
}

/// A span of time and the width of its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    start: u64,
    end: u64,
    width: Width,
}

impl Range {
    /// Makes a range in Unix seconds, from `start` to before `end`.
    ///
    /// The range is widened to whole hours, because counters are hourly. Without `end`, or if `end` is later, the range
    /// ends with the bucket that contains `now`.
    ///
    /// # Errors
    /// Returns `Invalid` if `end` is not after `start`.
    pub fn new(start: u64, end: Option<u64>, width: Width, now: Timestamp) -> Result<Self, Invalid> {
        if let Some(end) = end.filter(|&end| end <= start) {
            let message = format!("`end_time` is {end}, expected a time after `start_time`, which is {start}.");
            return Err(Invalid::field("end_time", message));
        }
        let current_ends = (now.seconds() / width.seconds() + 1) * width.seconds();
        let end = end.map_or(current_ends, |end| end.div_ceil(HOUR).saturating_mul(HOUR).min(current_ends));
        Ok(Self { start: start / HOUR * HOUR, end, width })
    }

    /// Returns at most `limit` buckets of the page that begins at `from`, and the begin of the next page. Without `from`,
    /// the page begins with the range.
    #[must_use]
    pub fn page(&self, from: Option<u64>, limit: usize) -> (Vec<Bucket>, Option<u64>) {
        let first = from.unwrap_or(self.start).max(self.start);
        let width = self.width.seconds();
        let bucket = |start: u64| {
            let whole = (start / width + 1).saturating_mul(width);
            (start < self.end).then(|| Bucket { start, end: whole.min(self.end) })
        };
        let buckets = std::iter::successors(bucket(first / HOUR * HOUR), |last| bucket(last.end));
        let buckets: Vec<Bucket> = buckets.take(limit).collect();
        let next = buckets.last().map(|last| last.end).filter(|&end| end < self.end);
        (buckets, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z.
    const DAY: u64 = 1_767_225_600;

    /// Compares the buckets of a page, given as hours since [`DAY`].
    #[track_caller]
    fn check((start, end): (u64, Option<u64>), width: Width, limit: usize, expected: &[(u64, u64)], next: Option<u64>) {
        let now = Timestamp((DAY + 60 * HOUR + 59) * 1_000); // noon of the third day
        let range = Range::new(DAY + start, end.map(|end| DAY + end), width, now).unwrap();
        let (buckets, at) = range.page(None, limit);
        let hours = |seconds: u64| (seconds - DAY) / HOUR;
        let found: Vec<_> = buckets.iter().map(|bucket| (hours(bucket.start), hours(bucket.end))).collect();
        assert_eq!((found.as_slice(), at.map(hours)), (expected, next));
    }

    #[test]
    fn days_end_at_midnight_in_utc_and_the_ends_are_cut() {
        check((0, Some(48 * HOUR)), Width::Day, 7, &[(0, 24), (24, 48)], None);
        check((5 * HOUR, Some(30 * HOUR)), Width::Day, 7, &[(5, 24), (24, 30)], None);
        check((23 * HOUR + 3_599, Some(24 * HOUR + 1)), Width::Day, 7, &[(23, 24), (24, 25)], None);
    }

    #[test]
    fn a_range_is_widened_to_whole_hours() {
        check((3_599, Some(3_601)), Width::Hour, 24, &[(0, 1), (1, 2)], None);
        check((HOUR, Some(2 * HOUR)), Width::Hour, 24, &[(1, 2)], None);
    }

    #[test]
    fn a_range_ends_with_the_bucket_of_now() {
        check((24 * HOUR, None), Width::Day, 7, &[(24, 48), (48, 72)], None);
        check((59 * HOUR, None), Width::Hour, 7, &[(59, 60), (60, 61)], None);
        check((48 * HOUR, Some(u64::MAX - DAY)), Width::Day, 7, &[(48, 72)], None);
        check((100 * HOUR, None), Width::Day, 7, &[], None);
    }

    #[test]
    fn pages_meet_without_gap_or_overlap() {
        check((0, Some(72 * HOUR)), Width::Day, 2, &[(0, 24), (24, 48)], Some(48));
        check((0, Some(48 * HOUR)), Width::Day, 2, &[(0, 24), (24, 48)], None);
        let range = Range::new(DAY + 5 * HOUR, None, Width::Day, Timestamp((DAY + 60 * HOUR) * 1_000)).unwrap();
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let (buckets, next) = range.page(from, 1);
            seen.extend(buckets);
            let Some(next) = next else { break };
            from = Some(next);
        }
        assert_eq!(seen, range.page(None, 10).0);
    }

    #[test]
    fn a_page_cannot_begin_before_the_range() {
        let range = Range::new(DAY, None, Width::Day, Timestamp(DAY * 1_000)).unwrap();
        assert_eq!(range.page(Some(0), 1), range.page(None, 1));
        assert_eq!(range.page(Some(u64::MAX), 1), (Vec::new(), None));
    }

    #[test]
    fn refuses_a_range_that_ends_before_it_begins() {
        for end in [DAY, DAY - 1] {
            let refused = Range::new(DAY, Some(end), Width::Day, Timestamp(0)).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some("end_time"));
        }
    }
}
