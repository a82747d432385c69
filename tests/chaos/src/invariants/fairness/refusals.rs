//! Each refusal of a tenant's call is explained by the tenant's own limits and calls.

use std::sync::Arc;

use shared::model::clock::Timestamp;
use shared::model::project::Limits;

use super::breakers::most_counted;
use crate::deployment::Deployment;
use crate::exchanges::{Exchange, ExchangeEnd, Refusal};
use crate::invariants::{CheckResult, expect};
use crate::observations::Observations;

/// The fewest failures that open a breaker: half of ten calls.
const OPENS: u64 = 5;
/// The time in which a tenant's own attempt failed: a call may wait for another one with its key, as long as clients wait.
const ATTEMPT_MS: u64 = 100_000;
/// A rate window, and some seconds between the start of a call and its admission.
const WINDOW_MS: u64 = 65_000;
/// The requests with which a tenant was set up.
const SET_UP: usize = 3;

/// Judges the exchanges that ended since `judged` of them were. Returns how many are judged now.
pub(super) fn check(deployment: &Arc<Deployment>, judged: usize) -> Result<usize, String> {
    let observed = deployment.sim.observed();
    for &index in observed.ended_exchanges.iter().skip(judged) {
        let exchange = &observed.exchanges[index];
        let Some(ExchangeEnd { at, refusal: Some(refusal), .. }) = &exchange.end else { continue };
        let only_harmless = deployment.sim.scenario.only_harmless;
        let case = Case { observed: &observed, index, exchange, until: *at, refusal, only_harmless };
        case.explain().map_err(|reason| {
            format!("tenant {}: {}, and {reason}: {}", exchange.tenant, refusal.code, refusal.message)
        })?;
    }
    Ok(observed.ended_exchanges.len())
}

/// A refusal, and all that may explain it.
struct Case<'a> {
    observed: &'a Observations,
    index: usize,
    exchange: &'a Exchange,
    until: Timestamp,
    refusal: &'a Refusal,
    only_harmless: bool,
}

impl Case<'_> {
    fn explain(&self) -> CheckResult {
        match self.refusal.code.as_str() {
            "rate_limit_exceeded" => self.explain_limit(),
            "budget_exceeded" => expect(self.may_have_a_budget(), || "it has no budget".to_owned()),
            "provider_unavailable" => expect(self.has_failed_attempt() || self.may_meet_a_breaker(), || {
                "no attempt of its own failed, and no breaker can be open".to_owned()
            }),
            // A call has a time limit, which slow stores use up as well.
            "provider_timeout" if !self.only_harmless => Ok(()),
            "provider_timeout" | "provider_rate_limited" | "provider_error" => {
                expect(self.has_failed_attempt(), || "no attempt of its own failed".to_owned())
            }
            "store_unavailable" => expect(!self.only_harmless, || "no store failed".to_owned()),
            _ => Ok(()),
        }
    }

    fn explain_limit(&self) -> CheckResult {
        let says = |text: &str| self.refusal.message.contains(text);
        let limit = self.refusal.limit().unwrap_or_default();
        let is_own = |of: fn(&Limits) -> Option<u64>| self.limits().iter().any(|limits| of(limits) == Some(limit));
        let not_own = || format!("{limit} is no limit of its own");
        if says("tokens per minute") {
            return expect(is_own(|limits| limits.tokens_per_minute), not_own);
        }
        if says("requests per minute") {
            expect(is_own(|limits| limits.requests_per_minute), not_own)?;
            return self.expect_own(limit, self.begun_in_a_minute());
        }
        let is_default = limit == self.tenant().project.concurrent_followers();
        expect(is_default || is_own(|limits| limits.concurrent_requests), not_own)?;
        let other =
            |(index, exchange): &(usize, &Exchange)| *index != self.index && exchange.tenant == self.exchange.tenant;
        let others = self.observed.exchanges.iter().enumerate().filter(other).map(|(_, exchange)| exchange);
        // A call whose settlement failed, or whose process died, stays open until the sweeper settles it.
        let is_open = |call: &&Exchange| !self.only_harmless || call.may_be_open(self.exchange.started, self.until);
        self.expect_own(limit, others.filter(is_open).count())
    }

    fn expect_own(&self, limit: u64, own: usize) -> CheckResult {
        expect(own as u64 >= limit, || format!("it had {own} of {limit}"))
    }

    fn tenant(&self) -> &crate::observations::Tenant {
        &self.observed.tenants[self.exchange.tenant]
    }

    /// The limits of the project and of all of its keys: a call may wait for the call of another key, and get its refusal.
    fn limits(&self) -> Vec<Limits> {
        let tenant = self.tenant();
        std::iter::once(&tenant.project.limits).chain(&tenant.key_limits).copied().collect()
    }

    /// The most requests that count against the minute of the call: its runs and those of its jobs, too. If stores fail, a
    /// request may count more than once.
    fn begun_in_a_minute(&self) -> usize {
        if !self.only_harmless {
            return usize::MAX;
        }
        let from = Timestamp(self.exchange.started.0.saturating_sub(WINDOW_MS));
        let is_in = |at: Timestamp| at >= from && at <= self.until;
        let tenant = self.exchange.tenant;
        let sent =
            self.observed.exchanges.iter().filter(|exchange| exchange.tenant == tenant && is_in(exchange.started));
        let run = self.observed.calls.iter().filter(|call| call.project == tenant && is_in(call.started));
        let counted = self.observed.counted_requests.iter().filter(|(of, at)| *of == tenant && is_in(*at));
        sent.count() + run.count() + counted.count() + SET_UP
    }

    /// Whether a level of the call may have a budget: its runs always have one.
    fn may_have_a_budget(&self) -> bool {
        let attempted = self.observed.attempted_budgets.iter().any(|(tenant, _)| *tenant == self.exchange.tenant);
        attempted || self.limits().iter().any(|limits| limits.budget.is_some()) || self.refusal.message.contains("run")
    }

    fn has_failed_attempt(&self) -> bool {
        let from = Timestamp(self.exchange.started.0.saturating_sub(ATTEMPT_MS));
        let is_own = |call: &crate::observations::ProviderCall| call.project == self.exchange.tenant;
        self.observed.calls.iter().any(|call| is_own(call) && call.has_failed && call.started >= from)
    }

    /// Whether enough failures happened, of any target so far, that the hostile tenant cannot have caused.
    fn may_meet_a_breaker(&self) -> bool {
        most_counted(self.observed, |call| call.started <= self.until) >= OPENS
    }
}
