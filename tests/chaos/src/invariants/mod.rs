//! The invariants. To add one, add a file here and a line in [`all`].

mod answers;
mod batches;
mod books;
mod budget;
pub(crate) mod concurrency;
mod counters;
mod due;
mod fairness;
mod files;
mod holds;
mod jobs;
mod keys;
mod levels;
pub(crate) mod messages;
mod purges;
mod replays;
mod retention;
mod sequence;
mod storage;
pub(crate) mod tenancy;
mod turns;
mod unbegun;
mod vector_stores;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::deployment::Deployment;

/// `Err` says how an invariant is broken.
pub(crate) type CheckResult = Result<(), String>;

/// A promise as it can be checked from outside. It may compare the state with an earlier one.
#[async_trait]
pub(crate) trait Invariant: Send {
    fn name(&self) -> &'static str;

    /// Seconds between two checks of `at_any_time` while clients are busy.
    fn interval_seconds(&self) -> u64 {
        5
    }

    /// Checks that hold at any time.
    async fn at_any_time(&mut self, _: &Arc<Deployment>) -> CheckResult {
        Ok(())
    }

    /// Checks that hold after the faults, when all calls have ended.
    async fn after_the_faults(&mut self, _: &Arc<Deployment>) -> CheckResult {
        Ok(())
    }

    /// Checks that hold when nothing is due any more.
    async fn at_the_end(&mut self, _: &Arc<Deployment>) -> CheckResult {
        Ok(())
    }
}

/// Returns all invariants.
#[must_use]
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(budget::Budget::default()),
        Box::new(answers::Answers),
        Box::new(jobs::Jobs::default()),
        Box::new(replays::Replays),
        Box::new(keys::Keys),
        Box::new(holds::Holds),
        Box::new(levels::Levels::default()),
        Box::new(concurrency::Concurrency::default()),
        Box::new(fairness::Fairness::default()),
        Box::new(due::Due),
        Box::new(books::Books),
        Box::new(counters::Counters),
        Box::new(unbegun::Unbegun),
        Box::new(sequence::Sequence),
        Box::new(webhooks::Webhooks),
        Box::new(turns::Turns),
        Box::new(storage::Storage),
        Box::new(files::Files),
        Box::new(vector_stores::VectorStores),
        Box::new(batches::Batches::default()),
        Box::new(tenancy::Tenancy),
        Box::new(purges::Purges),
        Box::new(retention::Retention),
    ]
}

/// Returns `Err` with a message unless the condition holds.
fn expect(holds: bool, message: impl FnOnce() -> String) -> CheckResult {
    if holds { Ok(()) } else { Err(message()) }
}
