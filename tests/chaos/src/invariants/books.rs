//! Each project has spent the price of the usage that providers sent, or the charge of decision 5 where they sent none.

use std::sync::Arc;

use async_trait::async_trait;

use super::budget::load_meters;
use super::{CheckResult, Invariant, expect};
use crate::deployment::{Deployment, TENANTS};
use crate::observations::{CallState, Observations, ProviderCall};

pub(super) struct Books;

#[async_trait]
impl Invariant for Books {
    fn name(&self) -> &'static str {
        "books"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut spent = [0; TENANTS];
        for (n, shards, _) in load_meters(deployment).await? {
            spent[n] += shards.iter().map(|shard| shard.spent.0).sum::<u64>();
        }
        let only_harmless = deployment.sim.scenario.only_harmless;
        let observed = deployment.sim.observed();
        for (n, spent) in spent.into_iter().enumerate() {
            let (least, most) = bill(&observed, n, only_harmless);
            expect((least..=most).contains(&spent), || {
                format!("tenant {n}: {spent} spent, but the providers' usage costs {least} to {most}")
            })?;
        }
        Ok(())
    }
}

/// Returns the least and the most that a tenant can have spent.
fn bill(observed: &Observations, tenant: usize, only_harmless: bool) -> (u64, u64) {
    let calls = || observed.calls.iter().filter(|call| call.project == tenant);
    let least = calls().map(|call| if only_harmless { charge_range(call).0 } else { least_charge(call) }).sum();
    let most = if only_harmless {
        calls().map(|call| charge_range(call).1).sum()
    } else {
        // The reservation of a process that died is charged in full, even if it called no provider.
        observed.upper_bounds.iter().filter(|(project, _)| *project == tenant).map(|(_, most)| most).sum()
    };
    (least, most)
}

/// Returns the least and the most charge of a call, if only harmless faults strike.
fn charge_range(call: &ProviderCall) -> (u64, u64) {
    match call.state {
        CallState::WithUsage => (call.cost, call.cost),
        CallState::Refused => (0, 0),
        // The worst case is never below the provider's bill.
        CallState::WithoutUsage | CallState::Interrupted => (call.cost, call.upper_bound),
        // A response that was cancelled is charged by the time until then.
        CallState::Abandoned => (call.input_cost, call.upper_bound),
        CallState::Pending | CallState::Streaming => (0, call.upper_bound),
    }
}

/// Returns the least charge of a call under any faults.
fn least_charge(call: &ProviderCall) -> u64 {
    match call.state {
        CallState::WithUsage | CallState::WithoutUsage | CallState::Interrupted if call.has_stored_events => {
            call.input_cost
        }
        CallState::WithUsage | CallState::WithoutUsage | CallState::Interrupted => call.cost,
        _ => 0,
    }
}
