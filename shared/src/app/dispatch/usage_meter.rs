//! The usage of a call as far as it is known while the provider answers.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::model::provider::{Event, Failure, Whole};
use crate::model::tokens::{Bound, Charge, Price, Unreported, Usage};

/// Observes the attempts of a call. Clones share it, so that a call can be settled after its task panicked.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct UsageMeter(Arc<Mutex<Attempts>>);

#[derive(Debug, Default)]
struct Attempts {
    /// The rules of attempts that gave no answer and are charged.
    unanswered: Vec<Unreported>,
    /// The attempt that goes on, or that was answered.
    latest: Option<Attempt>,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    rule: Unreported,
    sent_at: Instant,
    received_bytes: u64,
    reported: Option<Usage>,
    /// The pieces of the whole answer, if some are billed by the piece.
    pieces: Option<u64>,
}

impl Attempt {
    /// The usage that the provider reported, with the pieces of its answer. Where tokens cost nothing, the pieces are enough.
    fn reported(&self, price: Option<&Price>, bound: &Bound) -> Option<Usage> {
        let has_free_tokens = price.is_none_or(Price::has_free_tokens);
        let usage = match (self.reported, self.pieces) {
            (None, Some(_)) if has_free_tokens => Usage::default(),
            (reported, _) => reported?,
        };
        // A stream does not tell its pieces.
        Some(Usage { pieces: self.pieces.unwrap_or(bound.pieces), ..usage })
    }
}

impl UsageMeter {
    /// Notes that the call goes to a provider now. `rule` is that provider's.
    pub(in crate::app) fn begin_attempt(&self, rule: Unreported) {
        let attempt = Attempt { rule, sent_at: Instant::now(), received_bytes: 0, reported: None, pieces: None };
        self.with(|attempts| attempts.latest = Some(attempt));
    }

    /// Notes that the attempt gave no answer. Returns whether it is charged nevertheless.
    pub(in crate::app) fn fail_attempt(&self, failure: &Failure) -> bool {
        self.with(|attempts| {
            let rule = attempts.latest.take().map(|attempt| attempt.rule);
            let charged = rule.filter(|rule| failure.may_be_billed() && *rule != Unreported::Nothing);
            attempts.unanswered.extend(charged);
            charged.is_some()
        })
    }

    pub(in crate::app) fn observe(&self, event: &Event) {
        self.add(event.data.len(), event.usage, None);
    }

    pub(in crate::app) fn observe_whole(&self, whole: &Whole) {
        self.add(whole.body.len(), whole.usage, whole.pieces);
    }

    fn add(&self, bytes: usize, usage: Option<Usage>, pieces: Option<u64>) {
        self.with(|attempts| {
            let Some(attempt) = &mut attempts.latest else { return };
            attempt.received_bytes += bytes as u64;
            attempt.reported = usage.or(attempt.reported);
            attempt.pieces = pieces.or(attempt.pieces);
        });
    }

    /// Bytes of the provider's chunks so far.
    pub(in crate::app) fn received_bytes(&self) -> u64 {
        self.with(|attempts| attempts.latest.map_or(0, |attempt| attempt.received_bytes))
    }

    /// The charge for the call so far: the usage that the provider reported, up to the bound, else by its rule; and by their rules the
    /// attempts that gave no answer and may be billed. Nothing if no provider may bill anything.
    pub(in crate::app) fn charge(&self, price: Option<&Price>, bound: &Bound) -> Charge {
        self.sum(price, bound, |attempt| attempt.rule.usage(bound, attempt.received_bytes))
    }

    /// The charge for a call that was left before its answer had ended. Where the rule is the worst case, the time bounds
    /// what the provider wrote or thought: a model that is left writes at most `tokens_per_second`.
    pub(in crate::app) fn charge_of_left(
        &self,
        price: Option<&Price>,
        bound: &Bound,
        tokens_per_second: u64,
    ) -> Charge {
        self.sum(price, bound, |attempt| match attempt.rule {
            Unreported::WorstCase => {
                let ms = u64::try_from(attempt.sent_at.elapsed().as_millis()).unwrap_or(u64::MAX);
                let written = ms.saturating_mul(tokens_per_second).div_ceil(1_000).max(attempt.received_bytes);
                bound.estimate(written)
            }
            rule => rule.usage(bound, attempt.received_bytes),
        })
    }

    fn sum(&self, price: Option<&Price>, bound: &Bound, unreported: impl FnOnce(Attempt) -> Usage) -> Charge {
        let (latest, unanswered) = self.with(|attempts| (attempts.latest, attempts.unanswered.clone()));
        let latest = latest.map(|attempt| match attempt.reported(price, bound) {
            Some(usage) => Charge::reported(price, usage, bound),
            None => Charge::at_most(price, unreported(attempt)),
        });
        let unanswered = unanswered.into_iter().map(|rule| Charge::at_most(price, rule.usage(bound, 0)));
        unanswered.fold(latest.unwrap_or_default(), |sum, charge| sum + charge)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Attempts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::money::MicroUsd;
    use crate::model::provider::Awaited;
    use crate::model::tokens::Rates;

    fn price() -> Price {
        Price::from(Rates { cache_write: 2_000_000, ..Rates::flat(1_000_000, 10_000_000) })
    }

    const BOUND: Bound = Bound { input: 100, output: 1_000, pieces: 0 };

    fn event(bytes: usize, usage: Option<Usage>) -> Event {
        let data = vec![b'x'; bytes].into();
        Event { data, usage }
    }

    fn cost(meter: &UsageMeter) -> u64 {
        meter.charge(Some(&price()), &BOUND).cost.0
    }

    #[test]
    fn an_answer_without_usage_is_charged_by_the_rule_at_the_highest_price() {
        for (rule, expected) in
            [(Unreported::WorstCase, 200 + 10_000), (Unreported::Received, 200 + 70), (Unreported::Nothing, 0)]
        {
            let meter = UsageMeter::default();
            assert_eq!(cost(&meter), 0, "nothing was sent");
            meter.begin_attempt(rule);
            meter.observe(&event(7, None));
            assert_eq!(cost(&meter), expected, "{rule:?}");
            meter.observe(&event(7, Some(Usage { input: 5, output: 1, ..Usage::default() })));
            assert_eq!(cost(&meter), 15, "{rule:?}");
        }
    }

    #[test]
    fn pieces_are_charged_without_a_report_of_tokens_only_where_tokens_are_free() {
        let tokens = Price { pieces: 1_000_000_000, ..price() };
        let free = Price { pieces: 1_000_000_000, ..Price::from(Rates::flat(0, 0)) };
        let bound = Bound { pieces: 3, ..BOUND };
        let charged = |price: &Price, whole: &Whole, rule| {
            let meter = UsageMeter::default();
            meter.begin_attempt(rule);
            meter.observe_whole(whole);
            meter.charge(Some(price), &bound).cost.0
        };
        let two = Whole { pieces: Some(2), ..Whole::default() };
        for rule in [Unreported::WorstCase, Unreported::Received, Unreported::Nothing] {
            assert_eq!(charged(&free, &two, rule), 2_000, "{rule:?}");
            assert_eq!(charged(&free, &Whole { pieces: Some(9), ..Whole::default() }, rule), 3_000, "{rule:?}");
        }
        assert_eq!(charged(&tokens, &two, Unreported::WorstCase), 200 + 10_000 + 3_000);
        let reported = Whole { usage: Some(Usage { input: 5, output: 1, ..Usage::default() }), ..two };
        assert_eq!(charged(&tokens, &reported, Unreported::WorstCase), 15 + 2_000);
    }

    #[test]
    fn attempts_that_may_be_billed_are_added_and_others_cost_nothing() {
        let meter = UsageMeter::default();
        let late = Failure::TimedOut { awaited: Awaited::Answer, after: Duration::from_secs(1) };
        let unconnected = Failure::TimedOut { awaited: Awaited::Connection, after: Duration::from_secs(1) };
        let busy = Failure::Unavailable { status: 503, message: String::new(), retry_after: None };
        for failure in [&busy, &unconnected, &Failure::Unreachable("refused".into())] {
            meter.begin_attempt(Unreported::WorstCase);
            assert!(!meter.fail_attempt(failure), "{failure}");
        }
        meter.begin_attempt(Unreported::Nothing);
        assert!(!meter.fail_attempt(&late));
        assert_eq!(meter.charge(Some(&price()), &BOUND), Charge::default());
        for failure in [&late, &Failure::Interrupted("reset".into()), &Failure::Malformed("html".into())] {
            meter.begin_attempt(Unreported::WorstCase);
            assert!(meter.fail_attempt(failure), "{failure}");
        }
        meter.begin_attempt(Unreported::WorstCase);
        meter.observe(&event(7, Some(Usage { input: 5, output: 1, ..Usage::default() })));
        let expected = Usage { input: 305, output: 3_001, ..Usage::default() };
        assert_eq!(
            meter.charge(Some(&price()), &BOUND),
            Charge { usage: expected, cost: MicroUsd(3 * 10_200 + 15), ..Charge::default() }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_left_is_charged_by_time_and_never_less_than_what_came() {
        let output = |meter: &UsageMeter| meter.charge_of_left(Some(&price()), &BOUND, 50).usage.output;
        let meter = UsageMeter::default();
        assert_eq!(meter.charge_of_left(Some(&price()), &BOUND, 50), Charge::default());
        meter.begin_attempt(Unreported::WorstCase);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(output(&meter), 150);
        meter.observe(&event(400, None));
        assert_eq!(output(&meter), 400);
        tokio::time::sleep(Duration::from_secs(27)).await;
        assert_eq!(output(&meter), 1_000, "at most the bound");
        let meter = UsageMeter::default();
        meter.begin_attempt(Unreported::Received);
        tokio::time::sleep(Duration::from_secs(3)).await;
        meter.observe(&event(40, None));
        assert_eq!(output(&meter), 40);
    }
}
