//! What is spent is what providers were paid for, or what decision 5 says where nobody knows.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::months;
use super::{Invariant, Verdict, expect};
use crate::deployment::{Deployment, TENANTS};
use crate::ledger::{CallState, Ledger, ProviderCall};

pub(super) struct Books;

#[async_trait]
impl Invariant for Books {
    fn name(&self) -> &'static str {
        "books"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut spent = [0; TENANTS];
        for (n, shards, _) in months(deployment).await? {
            spent[n] += shards.iter().map(|shard| shard.spent.0).sum::<u64>();
        }
        let is_calm = deployment.sim.weather.is_calm;
        let ledger = deployment.sim.ledger();
        for (n, spent) in spent.into_iter().enumerate() {
            let (least, most) = bill(&ledger, n, is_calm);
            expect((least..=most).contains(&spent), || {
                format!("tenant {n}: {spent} spent, but providers gave for {least} to {most}")
            })?;
        }
        Ok(())
    }
}

/// The least and the most that a tenant can have spent.
fn bill(ledger: &Ledger, tenant: usize, is_calm: bool) -> (u64, u64) {
    let calls = || ledger.calls.iter().filter(|call| call.project == tenant);
    let least = calls().map(|call| if is_calm { exactly(call).0 } else { at_least(call) }).sum();
    let most = if is_calm {
        calls().map(|call| exactly(call).1).sum()
    } else {
        // A hold whose process died is charged in full, whether a provider was called or not.
        ledger.asked.iter().filter(|(project, _)| *project == tenant).map(|(_, most)| most).sum()
    };
    (least, most)
}

/// What a call is charged with while nothing but providers fails.
fn exactly(call: &ProviderCall) -> (u64, u64) {
    match call.state {
        CallState::Counted => (call.cost, call.cost),
        CallState::Refused => (0, 0),
        CallState::Uncounted | CallState::Broken | CallState::Left { had_begun: true } => (call.input_cost, call.most),
        // It gave nothing in time; but a job that was cancelled meanwhile pays for what it may have begun.
        CallState::Asked | CallState::Streaming | CallState::Left { had_begun: false } => (0, call.most),
    }
}

/// The least that a call is charged with, whatever dies.
fn at_least(call: &ProviderCall) -> u64 {
    match call.state {
        CallState::Counted if call.is_written => call.input_cost,
        CallState::Counted => call.cost,
        CallState::Uncounted | CallState::Broken => call.input_cost,
        _ => 0,
    }
}
