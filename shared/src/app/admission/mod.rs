//! Admission: one conditional write holds the worst case of a call before a provider is called.
//!
//! It refuses, it never shrinks a hold. Everything that is rare (a new month, changed limits, an empty shard, the end of
//! a budget) is one mechanism: read all shards, decide with a pure function, act, try again.

mod hints;
mod plan;
mod refusal;
mod terms;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rand::RngExt as _;

use super::bound::Unaccountable;
use super::error::Error;
use super::gateway::Gateway;
use crate::data::{
    Attempt, MAX_SHARDS, MeterKey, Reservation, ReservationId, Settled, StoredReservation, Window, WindowMove,
};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::project::Project;
use crate::model::rng;
use crate::model::tokens::Bound;

pub(super) use hints::Hints;
use plan::{Demand, Plan};
pub use refusal::{Limit, Refusal};
pub use terms::MeterLimits;

/// A minute, the length of a rate window.
const WINDOW_MS: u64 = 60_000;

/// Times that an admission may meet somebody faster before it gives up.
const MAX_TRIES: u32 = 12;

/// What a call asks for.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) project: &'a Project,
    pub(super) model: &'a str,
    /// The most it can cost; 0 if the model has no price.
    pub(super) amount: MicroUsd,
    /// The tokens it is counted with until its end.
    pub(super) tokens: u64,
    /// When the sweeper may take the call for dead.
    pub(super) lease_until: Timestamp,
    /// Whether a budget can pay for it.
    pub(super) accountable: Result<(), Unaccountable>,
}

/// An admitted call: what is held for it and where.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) meter: MeterKey,
    pub(super) hold: Reservation,
    /// Tokens counted into the rate window, and when that window ends.
    tokens: u64,
    window_ends: Timestamp,
    pub(super) rates: RateStatus,
    /// Whether a budget pays: then the provider is told the limit that money is held for.
    pub(super) budgeted: bool,
}

impl Ticket {
    /// The ticket as a record keeps it, for the run with this fence.
    pub(super) fn kept(&self, fence: u64, bound: Bound) -> StoredReservation {
        StoredReservation {
            fence,
            period: self.meter.period.clone(),
            shard: self.meter.shard,
            id: self.hold.id.clone(),
            amount: self.hold.amount,
            tokens: self.tokens,
            window_ends: self.window_ends,
            bound,
        }
    }

    /// A ticket that a record kept, to be settled.
    pub(super) fn of_kept(holding: &StoredReservation, project_id: &str, model: &str) -> Self {
        Self {
            meter: holding.meter(project_id),
            hold: holding.hold(model),
            tokens: holding.tokens,
            window_ends: holding.window_ends,
            rates: RateStatus::default(),
            budgeted: true,
        }
    }
}

/// The state of the rate limits after a call, for `x-ratelimit-*`. `None` where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateStatus {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub limit: u64,
    pub remaining: u64,
    /// Until the window ends.
    pub reset: Duration,
}

impl RateStatus {
    fn of(terms: &MeterLimits, requests: u64, tokens: u64, reset_ms: u64) -> Self {
        let rate = |limit: u64, used: u64| Rate {
            limit,
            remaining: limit.saturating_sub(used),
            reset: Duration::from_millis(reset_ms),
        };
        Self {
            requests: terms.limits.requests_per_minute.map(|limit| rate(limit, requests)),
            tokens: terms.limits.tokens_per_minute.map(|limit| rate(limit, tokens)),
        }
    }

    /// From one shard; the others are taken to be as full as this one.
    fn of_shard(terms: &MeterLimits, window: &Window, now: Timestamp) -> Self {
        let shards = u64::from(terms.shards);
        Self::of(terms, window.requests * shards, window.tokens * shards, now.until(window.ends))
    }
}

impl Gateway {
    /// Admits a call: holds its worst case and counts it against the rates, or refuses.
    ///
    /// # Errors
    /// `Refused` by a limit; `Unpriced` or `Invalid` if no budget can pay for the call; `Contended` if others were faster
    /// too often; `Internal` if the table failed.
    pub(super) async fn admit(&self, ask: &Ask<'_>) -> Result<Ticket, Error> {
        let mut terms = MeterLimits::of(ask.project);
        if let Some(limit) = terms.limits.tokens_per_minute.filter(|&limit| ask.tokens > limit) {
            return Err(Error::Refused(Box::new(Refusal::too_large(limit, ask.tokens))));
        }
        let now = self.clock.now();
        let demand = Demand { amount: ask.amount, tokens: ask.tokens, now };
        let mut meter = MeterKey { project_id: ask.project.id.clone(), period: now.month(), shard: 0 };
        meter.shard = self.hints.home(&meter, &terms);
        let mut ends = self.hints.window_ends(&meter);
        for tried in 0..MAX_TRIES {
            // Asked of the terms in force: those that were remembered may not know of the budget yet.
            if terms.limits.budget.is_some() {
                ask.accountable.clone()?;
            }
            let attempt = attempt(ask, &terms, &meter, ends, now);
            match self.stores.table.admit(&meter, &attempt).await? {
                Ok(window) => return Ok(self.ticket(meter, attempt, Window { ends, ..window }, &terms, now)),
                // The window is not what it was thought to be; nothing else is known to be wrong.
                Err(Some(shard)) if terms.has_rates() && misjudged(&attempt, shard.window.ends, now) => {
                    ends = shard.window.ends
                }
                Err(_) => {
                    (terms, ends) = self.reconsider(ask, terms, &demand, &mut meter).await?;
                    pause(tried).await;
                }
            }
        }
        Err(Error::Contended("the project's meter"))
    }

    /// Reads all shards, decides, acts. Returns the terms and the window to try next.
    async fn reconsider(
        &self,
        ask: &Ask<'_>,
        mut terms: MeterLimits,
        demand: &Demand,
        meter: &mut MeterKey,
    ) -> Result<(MeterLimits, Timestamp), Error> {
        let shards = self.stores.table.shards(&meter.project_id, &meter.period).await?;
        if shards.iter().all(Option::is_none) {
            // Nothing in the table says that what is remembered of the project is old: once a month it is read again.
            terms = MeterLimits::of(&self.reload_project(&ask.project.id).await?);
        }
        match plan::plan(&shards, &terms, demand, demand.now.next_month()) {
            Plan::Try { shard, window_ends } => {
                meter.shard = shard;
                self.hints.set_home(meter);
                Ok((terms, window_ends))
            }
            Plan::Refill { moves, shard } => {
                let table = &self.stores.table;
                // Somebody else was faster: with the same, or with newer limits.
                if !table.move_between_shards(&meter.project_id, &meter.period, &moves, demand.now).await? {
                    terms = MeterLimits::of(&self.reload_project(&meter.project_id).await?);
                }
                meter.shard = shard;
                self.hints.set_home(meter);
                let window = shards.get(usize::from(shard)).and_then(|shard| Some(shard.as_ref()?.window.ends));
                Ok((terms, window.unwrap_or_default()))
            }
            Plan::ReadAgain => {
                let project = self.reload_project(&ask.project.id).await?;
                Ok((MeterLimits::of(&project), self.hints.window_ends(meter)))
            }
            Plan::Refuse(refusal) => Err(Error::Refused(Box::new(refusal))),
        }
    }

    fn ticket(&self, meter: MeterKey, attempt: Attempt, window: Window, terms: &MeterLimits, now: Timestamp) -> Ticket {
        let ends = match attempt.window {
            WindowMove::Open { ends } => ends,
            WindowMove::Count | WindowMove::Ignore => window.ends,
        };
        self.hints.saw(&meter, ends);
        let window = Window { ends, ..window };
        Ticket {
            rates: RateStatus::of_shard(terms, &window, now),
            tokens: if terms.has_rates() { attempt.tokens } else { 0 },
            window_ends: ends,
            budgeted: attempt.budgeted,
            hold: attempt.hold,
            meter,
        }
    }

    /// Settles a ticket at its true cost. Safe to repeat: the answer says whether it was settled before.
    ///
    /// # Errors
    /// If the table fails; the sweeper then settles the hold in full when its lease has ended.
    pub(super) async fn settle(&self, ticket: &Ticket, cost: MicroUsd, tokens: u64) -> Result<Settled, Error> {
        let same_window = self.clock.now() < ticket.window_ends;
        let unused = if same_window && ticket.tokens > 0 { difference(ticket.tokens, tokens) } else { 0 };
        Ok(self.stores.table.settle(&ticket.meter, &ticket.hold, cost, unused).await?)
    }

    /// Brings changed limits into force at once: fills this month's meter, if there is one, for the new revision.
    ///
    /// Instances that remember the old limits are refused by the meter and read the project again.
    ///
    /// # Errors
    /// `Contended` if others were faster too often; `Internal` if the table failed.
    pub(super) async fn apply_limits(&self, project: &Project) -> Result<(), Error> {
        let terms = MeterLimits::of(project);
        let now = self.clock.now();
        let nothing = Demand { amount: MicroUsd(0), tokens: 0, now };
        let period = now.month();
        for tried in 0..MAX_TRIES {
            let shards = self.stores.table.shards(&project.id, &period).await?;
            if shards.iter().all(Option::is_none) {
                return Ok(());
            }
            let Plan::Refill { moves, .. } = plan::plan(&shards, &terms, &nothing, now.next_month()) else {
                return Ok(());
            };
            if self.stores.table.move_between_shards(&project.id, &period, &moves, now).await? {
                return Ok(());
            }
            pause(tried).await;
        }
        Err(Error::Contended("the project's meter"))
    }

    /// Learns the state of a project's meter before it is needed, beside the reading of the key.
    pub(super) async fn peek_meter(&self, project_id: &str) {
        let period = self.clock.now().month();
        // A hint that is missing costs one more round trip later, nothing else.
        let shards = self.stores.table.shards(project_id, &period).await.unwrap_or_default();
        for (shard, state) in (0..MAX_SHARDS).zip(shards) {
            let meter = MeterKey { project_id: project_id.to_owned(), period: period.clone(), shard };
            if let Some(state) = state {
                self.hints.saw(&meter, state.window.ends);
            }
        }
    }
}

/// `counted - used`, below zero if more was used.
fn difference(counted: u64, used: u64) -> i64 {
    i64::try_from(counted).unwrap_or(i64::MAX).saturating_sub(i64::try_from(used).unwrap_or(i64::MAX))
}

fn attempt(ask: &Ask<'_>, terms: &MeterLimits, meter: &MeterKey, window_ends: Timestamp, now: Timestamp) -> Attempt {
    let max_tokens = terms.share_of_tokens(meter.shard);
    Attempt {
        revision: terms.revision,
        hold: Reservation { id: ReservationId::new(ask.lease_until), amount: ask.amount, model: ask.model.to_owned() },
        budgeted: terms.limits.budget.is_some(),
        // A share can be smaller than the limit that the request was compared with.
        tokens: max_tokens.map_or(ask.tokens, |max| ask.tokens.min(max)),
        max_requests: terms.share_of_requests(meter.shard),
        max_tokens,
        window: match terms.has_rates() {
            false => WindowMove::Ignore,
            true if now < window_ends => WindowMove::Count,
            true => WindowMove::Open { ends: now.plus_ms(WINDOW_MS) },
        },
        now,
    }
}

/// Whether the attempt took an open window for ended, or an ended one for open.
fn misjudged(attempt: &Attempt, window_ends: Timestamp, now: Timestamp) -> bool {
    match attempt.window {
        WindowMove::Ignore => false,
        WindowMove::Count => window_ends <= now,
        WindowMove::Open { .. } => window_ends > now,
    }
}

/// Spreads those who met over a few milliseconds; the first two tries go at once.
pub(super) async fn pause(tried: u32) {
    if tried >= 2 {
        let most = 2_u64 << tried.min(6);
        let wait = rng::rng().random_range(1..=most);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}
