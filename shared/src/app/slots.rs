//! Slots: each project has a number of followers, running jobs and deliveries at the same time, and no more.
//!
//! Calls have no slots: their meter counts them.

use std::time::Duration;

use futures_util::future::join_all;

use super::error::Error;
use crate::data::{SlotRecords, StoreError, TakeOutcome};
use crate::model::backoff::pause;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::id;
use crate::model::meter::Refusal;
use crate::model::project::Project;
use crate::model::slot::{SLOT_LEASE_MS, Slot, SlotKind, TakenSlot};

/// Times that a slot is tried for while other processes change the same item.
const MAX_TRIES: u32 = 5;

/// How often a holder renews its slot: three times in its lease.
const RENEWAL: Duration = Duration::from_millis(SLOT_LEASE_MS / 3);

/// Takes slots, renews them and frees them.
#[derive(Clone)]
pub(super) struct Slots {
    records: SlotRecords,
    clock: Clock,
}

impl Slots {
    pub(super) fn new(records: SlotRecords, clock: Clock) -> Self {
        Self { records, clock }
    }

    /// Takes a slot if fewer than `max` are taken. The caller passes it to [`Slots::keep`].
    pub(super) async fn take(&self, slot: &Slot, max: u64) -> Result<bool, StoreError> {
        for tried in 0..MAX_TRIES {
            let now = self.clock.now();
            let TakeOutcome::Full(taken) = self.records.take(slot, max, now).await? else { return Ok(true) };
            let dead: Vec<_> = taken.iter().filter(|taken| taken.is_over(now)).collect();
            if dead.is_empty() && taken.len() as u64 >= max {
                return Ok(false);
            }
            self.remove(slot, &dead).await?;
            pause(tried).await;
        }
        Ok(false)
    }

    /// Takes a slot for a request that follows a response or another request.
    ///
    /// # Errors
    /// `Refused` if as many requests of the project follow as may at the same time.
    pub(super) async fn take_to_follow(&self, project: &Project) -> Result<Slot, Error> {
        let slot = Slot::new(&project.id, SlotKind::Follower, id::random(12));
        let max = project.concurrent_followers();
        match self.take(&slot, max).await? {
            true => Ok(slot),
            false => Err(Error::Refused(Refusal::following(max).into())),
        }
    }

    async fn remove(&self, of: &Slot, dead: &[&TakenSlot]) -> Result<(), StoreError> {
        let removed = join_all(dead.iter().map(|dead| self.records.remove(of, dead))).await;
        removed.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// Does the work for which a slot was taken: renews the slot meanwhile, and frees it afterwards.
    pub(super) async fn keep<T>(&self, slot: &Slot, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            biased;
            done = work => done,
            never = self.renew(slot) => match never {},
        };
        self.free(slot).await;
        done
    }

    async fn renew(&self, slot: &Slot) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            // A holder that lost its slot goes on: its work is under way, and was allowed when it began.
            if let Err(error) = self.records.renew(slot, self.clock.now()).await {
                tracing::warn!(error = %ErrorChain(&error), "slot not renewed");
            }
        }
    }

    /// Frees a slot. If that fails, the slot is free when its lease ends.
    pub(super) async fn free(&self, slot: &Slot) {
        if let Err(error) = self.records.free(slot).await {
            tracing::warn!(error = %ErrorChain(&error), "slot not freed, its lease will end");
        }
    }
}
