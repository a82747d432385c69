//! The one source of the time, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// The time, from the system or set by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `start_ms` (Unix milliseconds) until it is advanced. Clones share it.
    #[must_use]
    pub fn manual(start_ms: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(start_ms))))
    }

    /// Sets a manual clock back. Does nothing to a system clock.
    pub fn set_back_ms(&self, by: u64) {
        if let Some(now) = &self.0 {
            now.fetch_sub(by, Ordering::SeqCst);
        }
    }

    /// Moves a manual clock forward. Does nothing to a system clock.
    pub fn advance_ms(&self, by: u64) {
        if let Some(now) = &self.0 {
            now.fetch_add(by, Ordering::SeqCst);
        }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(now) => Timestamp(now.load(Ordering::SeqCst)),
            None => Timestamp::of_system(),
        }
    }
}

/// By how much the clocks of two machines may differ.
const SKEW_MS: u64 = 60_000;

/// A point in time, in Unix milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    fn of_system() -> Self {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `self` until `later`; 0 if `later` is past.
    #[must_use]
    pub fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// Milliseconds between two times, whichever is first.
    #[must_use]
    pub fn apart(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// Whether the end of a lease or of a wait is still to come. Such an end is set at most `longest_ms` ahead. One that is
    /// further ahead was set before the clock was set back, and counts as past.
    #[must_use]
    pub fn is_before(self, end: Self, longest_ms: u64) -> bool {
        self < end && end <= self.latest_end(longest_ms)
    }

    /// The latest end that counts for [`Timestamp::is_before`].
    #[must_use]
    pub fn latest_end(self, longest_ms: u64) -> Self {
        self.plus_ms(longest_ms).plus_ms(SKEW_MS)
    }

    /// The calendar month in UTC, `2026-11`: the period of a budget.
    #[must_use]
    pub fn month(self) -> String {
        let format = format_description!("[year]-[month]");
        self.civil().format(&format).unwrap_or_default()
    }

    /// The first instant of the next calendar month in UTC, when a budget starts again.
    #[must_use]
    pub fn next_month(self) -> Self {
        let date = self.civil().date();
        let (year, month) = match date.month() {
            time::Month::December => (date.year() + 1, time::Month::January),
            month => (date.year(), month.next()),
        };
        let first = time::Date::from_calendar_date(year, month, 1).unwrap_or(date);
        Self(u64::try_from(first.midnight().assume_utc().unix_timestamp()).unwrap_or(0) * 1_000)
    }

    /// The hour in UTC, `2026-11-22T17`: the period of a usage counter. Sorts by time.
    #[must_use]
    pub fn hour(self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]");
        self.civil().format(&format).unwrap_or_default()
    }

    /// The day in UTC, `2026-11-22`.
    #[must_use]
    pub fn day(self) -> String {
        self.civil().date().to_string()
    }

    fn civil(self) -> OffsetDateTime {
        let seconds = i64::try_from(self.seconds()).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_starts_again_with_the_month() {
        let december = Timestamp(1_798_761_599_000); // 2026-12-31T23:59:59Z
        assert_eq!((december.month().as_str(), december.hour().as_str()), ("2026-12", "2026-12-31T23"));
        assert_eq!(december.next_month(), Timestamp(1_798_761_600_000));
        assert_eq!(december.next_month().month(), "2027-01");
    }

    #[test]
    fn an_end_that_is_further_ahead_than_it_was_ever_set_is_past() {
        let now = Timestamp(1_000_000_000);
        for (end, is_before) in [(-1, false), (0, false), (1, true), (30_000, true), (90_000, true), (90_001, false)] {
            let end = Timestamp(now.0.checked_add_signed(end).unwrap());
            assert_eq!(now.is_before(end, 30_000), is_before, "{end:?}");
        }
    }

    #[test]
    fn a_manual_clock_is_shared_by_its_clones() {
        let clock = Clock::manual(5);
        clock.clone().advance_ms(10);
        assert_eq!(clock.now(), Timestamp(15));
    }
}
