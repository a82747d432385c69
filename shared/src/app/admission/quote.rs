//! What the levels of a call would say to it now: read once, decided by the same rules, nothing written.

use futures_util::future::OptionFuture;

use super::level::LimitedLevel;
use super::{Admission, AdmissionRequest, Levels};
use crate::app::error::Error;
use crate::model::meter::{Decision, Refusal, Run, Standing, decide, decide_run};

/// What one level would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelQuote {
    pub standing: Standing,
    /// Why the level would refuse the call; `None`: it would admit it.
    pub refusal: Option<Refusal>,
}

impl Admission {
    /// What each level of a call would say, the project first. The levels are read in one round trip.
    ///
    /// # Errors
    /// `Unpriced` or `Invalid` if a level has a budget that cannot pay for the call; `NotFound` if the project or the key is
    /// gone.
    pub(in crate::app) async fn quote(&self, request: &AdmissionRequest<'_>) -> Result<Vec<LevelQuote>, Error> {
        let Levels { project, run, .. } = request.levels;
        let period = self.clock.now().month();
        let key = request.levels.limited_key().map(|key| LimitedLevel::of_key(&project.id, key, period.clone()));
        let (project, key, run) = tokio::join!(
            self.quote_level(request, LimitedLevel::of_project(project, period)),
            OptionFuture::from(key.map(|key| self.quote_level(request, key))),
            OptionFuture::from(run.map(|run| self.quote_run(request, run, &project.id))),
        );
        std::iter::once(project).chain(key).chain(run).collect()
    }

    async fn quote_level(
        &self,
        request: &AdmissionRequest<'_>,
        LimitedLevel { meter, mut limits }: LimitedLevel,
    ) -> Result<LevelQuote, Error> {
        let now = self.clock.now();
        let shards = self.meters.shards(&meter).await?;
        let mut decision = decide(&shards, &limits, &request.demand(now), now.next_month());
        if decision == Decision::ReadAgain {
            limits = self.levels.load_limits(&meter).await?;
            decision = decide(&shards, &limits, &request.demand(now), now.next_month());
        }
        if limits.limits.budget.is_some() {
            request.accountable.clone()?;
        }
        let refusal = match decision {
            Decision::Admit => None,
            Decision::Refuse(refusal) => Some(refusal),
            Decision::ReadAgain => return Err(Error::Contended("the meter of the call's limits")),
        };
        Ok(LevelQuote { standing: Standing::of_level(&shards, &limits, now), refusal })
    }

    async fn quote_run(
        &self,
        request: &AdmissionRequest<'_>,
        run: &Run,
        project_id: &str,
    ) -> Result<LevelQuote, Error> {
        let shard = self.meters.shard(&run.meter(project_id)).await?;
        let standing = Standing::of_run(shard.as_ref(), run);
        if standing.budget.is_some() {
            request.accountable.clone()?;
        }
        let refusal = decide_run(shard.as_ref(), run, request.amount, self.clock.now());
        Ok(LevelQuote { standing, refusal })
    }
}
