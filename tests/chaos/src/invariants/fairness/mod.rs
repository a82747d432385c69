//! Room for others: a tenant's calls fail only for its own reasons, whatever another tenant does.
//!
//! | part | what must explain it |
//! |---|---|
//! | a refusal by a limit | the tenant's own limit, and as many calls of its own |
//! | an answer that no provider gave | failures of its own attempts, or a breaker |
//! | a breaker that opens | as many failures as it counted that the hostile tenant cannot have caused |
//! | a job that does not begin | as many jobs of its own |

mod breakers;
mod jobs;
mod refusals;

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant};
use crate::deployment::Deployment;

#[derive(Default)]
pub(super) struct Fairness {
    breakers: breakers::Breakers,
    /// Exchanges that ended and were judged.
    judged: usize,
}

#[async_trait]
impl Invariant for Fairness {
    fn name(&self) -> &'static str {
        "fairness"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        self.breakers.check(deployment).await?;
        self.judged = refusals::check(deployment, self.judged)?;
        jobs::check(deployment).await
    }
}
