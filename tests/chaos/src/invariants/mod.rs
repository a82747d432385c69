//! What must hold whatever happens. A new invariant is a file here and a line in [`all`].

mod answers;
mod books;
mod budget;
mod counters;
mod due;
mod holds;
mod jobs;
mod keys;
mod replays;
mod sequence;
pub(crate) mod tenancy;
mod turns;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::deployment::Deployment;

/// Why an invariant does not hold.
pub(crate) type Verdict = Result<(), String>;

/// One promise, as it can be seen from outside. It may remember what it saw before.
#[async_trait]
pub(crate) trait Invariant: Send {
    fn name(&self) -> &'static str;

    /// Seconds between two looks while clients are busy.
    fn looks_every(&self) -> u64 {
        5
    }

    /// At any moment.
    async fn at_any_time(&mut self, _: &Arc<Deployment>) -> Verdict {
        Ok(())
    }

    /// When the faults are over, and all calls have ended.
    async fn after_the_faults(&mut self, _: &Arc<Deployment>) -> Verdict {
        Ok(())
    }

    /// When nothing is left to do.
    async fn at_the_end(&mut self, _: &Arc<Deployment>) -> Verdict {
        Ok(())
    }
}

/// All of them.
#[must_use]
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(budget::Budget::default()),
        Box::new(answers::Answers),
        Box::new(jobs::Jobs::default()),
        Box::new(replays::Replays),
        Box::new(keys::Keys),
        Box::new(holds::Holds),
        Box::new(due::Due),
        Box::new(books::Books),
        Box::new(counters::Counters),
        Box::new(sequence::Sequence),
        Box::new(webhooks::Webhooks),
        Box::new(turns::Turns),
        Box::new(tenancy::Tenancy),
    ]
}

/// `Err` with what is wrong, unless it is right.
fn expect(is_right: bool, wrong: impl FnOnce() -> String) -> Verdict {
    if is_right { Ok(()) } else { Err(wrong()) }
}
