//! A breaker that opens has counted only failures that the hostile tenant cannot have caused.

use std::collections::BTreeSet;
use std::sync::Arc;

use shared::model::clock::Timestamp;
use shared::model::provider::Symptom;

use crate::deployment::Deployment;
use crate::invariants::{CheckResult, expect};
use crate::load::hostile;
use crate::observations::{Observations, ProviderCall};

#[derive(Default)]
pub(super) struct Breakers {
    /// The openings that were checked: target and time.
    seen: BTreeSet<(String, Timestamp)>,
}

/// Failures are counted together for 30 seconds. An attempt begins some seconds before it fails.
const WINDOW_MS: u64 = 35_000;

impl Breakers {
    pub(super) async fn check(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        for (target, state) in deployment.inspector.breakers().await? {
            if !self.seen.insert((target.clone(), state.opened_at)) {
                continue;
            }
            let from = Timestamp(state.opened_at.0.saturating_sub(WINDOW_MS));
            let is_in_window = |call: &&ProviderCall| call.started >= from && call.started <= state.opened_at;
            let observed = deployment.sim.observed();
            let most = most_counted(&observed, |call| call.target == target && is_in_window(&call));
            expect(state.failures <= most, || {
                let (failures, calls) = (state.failures, state.calls);
                format!("the breaker of {target} opened after {failures} failures of {calls} calls, {most} may count")
            })?;
        }
        Ok(())
    }
}

/// The most failures of the selected calls that a breaker may count: all outages, and the stalls of each tenant as far as
/// others suffer as many.
pub(super) fn most_counted(observed: &Observations, is_selected: impl Fn(&ProviderCall) -> bool) -> u64 {
    let selected = || observed.calls.iter().filter(|call| is_selected(call));
    let outages = selected().filter(|call| call.symptom == Symptom::Outage).count() as u64;
    let stalls = selected().filter(|call| call.symptom == Symptom::Stall && call.project != hostile::NUMBER).count();
    outages + 2 * stalls as u64
}
