//! The latest calls of a target, as one process saw them.

use std::collections::{HashMap, VecDeque};

use crate::model::catalog::BreakerConfig;
use crate::model::clock::Timestamp;

/// What a call showed of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Answer,
    Outage,
    /// A stall of a call of this project.
    Stall(&'a str),
}

/// A window is counted in this many parts, so that it forgets a part of its calls at a time.
const PARTS: u64 = 10;

/// Counts of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) failures: u64,
    pub(super) calls: u64,
}

/// The calls of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Part>);

#[derive(Debug)]
struct Part {
    begun_at: Timestamp,
    answers: u64,
    outages: u64,
    stalls: HashMap<String, u64>,
}

impl Window {
    /// Counts a call. Returns the counts of the window if this call was a failure and they open the breaker.
    pub(super) fn add(&mut self, seen: Seen<'_>, config: &BreakerConfig, now: Timestamp) -> Option<Tally> {
        // A part that begins in the future was counted before the clock went back.
        self.0.retain(|part| part.begun_at <= now && part.begun_at.plus_ms(config.window_ms) > now);
        let part = self.part(config.window_ms / PARTS, now);
        match seen {
            Seen::Answer => part.answers += 1,
            Seen::Outage => part.outages += 1,
            Seen::Stall(project_id) => *part.stalls.entry(project_id.to_owned()).or_default() += 1,
        }
        let tally = self.tally();
        (seen != Seen::Answer && opens(tally, config)).then_some(tally)
    }

    fn part(&mut self, length_ms: u64, now: Timestamp) -> &mut Part {
        let is_over = |part: &Part| part.begun_at.plus_ms(length_ms) <= now;
        if self.0.back().is_none_or(is_over) {
            self.0.push_back(Part { begun_at: now, answers: 0, outages: 0, stalls: HashMap::new() });
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// One project's stalls count only as far as other projects' calls stall, too: a project can make its own calls take
    /// long, and alone it must not open a breaker.
    fn tally(&self) -> Tally {
        let (mut answers, mut outages) = (0, 0);
        let mut stalls: HashMap<&str, u64> = HashMap::new();
        for part in &self.0 {
            answers += part.answers;
            outages += part.outages;
            for (project_id, count) in &part.stalls {
                *stalls.entry(project_id).or_default() += count;
            }
        }
        let all: u64 = stalls.values().sum();
        let most = stalls.values().max().copied().unwrap_or(0);
        let others = all - most;
        let failures = outages + others + most.min(others);
        Tally { failures, calls: answers + failures }
    }
}

fn opens(Tally { failures, calls }: Tally, config: &BreakerConfig) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts of calls within minutes stay far below 2^53")]
    let (share, all) = (failures as f64, calls as f64);
    calls >= config.min_calls && share >= config.failure_share * all
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig =
        BreakerConfig { failure_share: 0.5, min_calls: 4, window_ms: 10_000, open_ms: 1_000, trickle: 0.1 };

    /// Counts calls, one each millisecond. Returns the number of the call that opens the breaker.
    fn opened_by(seen: &[Seen<'_>]) -> Option<usize> {
        let mut window = Window::default();
        let opens = |(n, seen): (usize, &Seen<'_>)| window.add(*seen, &CONFIG, Timestamp(n as u64)).is_some();
        seen.iter().enumerate().position(opens)
    }

    #[test]
    fn half_of_enough_calls_open_it_and_fewer_do_not() {
        use Seen::{Answer, Outage};
        assert_eq!(opened_by(&[Outage; 10]), Some(3));
        assert_eq!(opened_by(&[Answer, Outage, Answer, Outage]), Some(3));
        assert_eq!(opened_by(&[Answer, Answer, Outage].repeat(10)), None);
        // The answer that makes the calls enough opens nothing.
        assert_eq!(opened_by(&[Outage, Outage, Outage, Answer]), None);
    }

    #[test]
    fn stalls_of_one_project_never_open_it_whatever_another_one_suffers() {
        let (a, b) = (Seen::Stall("a"), Seen::Stall("b"));
        assert_eq!(opened_by(&[a; 100]), None);
        // One stall of b lets one of a count: two calls are too few, and two of five are less than half.
        assert_eq!(opened_by(&[vec![a; 100], vec![b]].concat()), None);
        assert_eq!(opened_by(&[vec![a; 100], vec![Seen::Answer; 3], vec![b]].concat()), None);
        assert_eq!(opened_by(&[a, b, a, b]), Some(3));
        assert_eq!(opened_by(&[vec![a; 100], vec![b, b]].concat()), Some(101));
    }

    #[test]
    fn calls_are_forgotten_when_the_window_has_passed_and_when_the_clock_goes_back() {
        let mut window = Window::default();
        let mut add = |at: u64| window.add(Seen::Outage, &CONFIG, Timestamp(at));
        assert_eq!([50_000, 51_000, 52_000].map(&mut add), [None; 3]);
        assert_eq!(add(60_500), None, "the first is forgotten");
        assert_eq!(add(61_500), None, "and the second");
        assert_eq!([10, 11, 12].map(&mut add), [None; 3]);
        assert_eq!(add(13), Some(Tally { failures: 4, calls: 4 }));
    }
}
