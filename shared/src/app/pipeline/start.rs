//! The one parallel round trip before the provider: claim the key, admit the call, look into the cache.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;

use super::{Call, Pipeline, UsageMeter};
use crate::app::admission::Admitted;
use crate::app::answer::{CallMetadata, FinalUsage};
use crate::app::cache::CacheOutcome;
use crate::app::error::Error;
use crate::app::idempotency::{Claim, error_answer};
use crate::data::{CacheEntry, Lease, Record};
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// A call that was admitted and is not settled yet.
pub(in crate::app) struct OpenCall {
    pub(in crate::app) admitted: Admitted,
    pub(in crate::app) lease: Option<Lease>,
    pub(in crate::app) metadata: CallMetadata,
    pub(in crate::app) used: UsageMeter,
    /// Settled, or handed over.
    closed: AtomicBool,
}

impl OpenCall {
    fn new(admitted: Admitted, lease: Option<Lease>, call: &Call, cache: CacheOutcome) -> Self {
        let metadata = CallMetadata {
            model: call.model.name.clone(),
            rates: admitted.rates,
            admission: call.begun_at.elapsed(),
            cache,
            ..CallMetadata::default()
        };
        Self { admitted, lease, metadata, used: UsageMeter::default(), closed: AtomicBool::new(false) }
    }

    /// Reports the usage and the price of the call to its log line.
    pub(in crate::app) fn report(&self, call: &Call, usage: &Usage, failed: bool) -> MicroUsd {
        let cost = call.cost(usage);
        let _ = self.metadata.final_usage.set(FinalUsage { usage: *usage, cost, failed });
        cost
    }

    /// Leaves the reservation to a record, or to the sweeper: this call does not settle it any more.
    pub(in crate::app) fn hand_over(&self) {
        self.close();
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// The way of a call after the round trip.
pub(super) enum Start<'a> {
    Run(&'a mut OpenCall),
    Cached(CacheEntry, &'a mut OpenCall),
    /// Another caller runs the request or ran it. The reservation, if there is one, is to be given back.
    Follow(Record, Option<&'a OpenCall>),
}

impl Pipeline {
    /// Claims, admits, looks up. The admitted call goes into `slot` at once, so that its supervisor can settle it.
    pub(super) async fn start<'a>(&self, call: &Call, slot: &'a mut Option<OpenCall>) -> Result<Start<'a>, Error> {
        let request = call.admission_request();
        let hints = async {
            tokio::join!(
                self.cache.look_up(&call.caller.project.id, call.cache.as_ref()),
                self.dispatcher.refresh_breakers(&call.model)
            )
        };
        // A panic here must not lose the claim and the admission that are under way: it counts as a cache miss.
        let hints = AssertUnwindSafe(hints).catch_unwind();
        let (claim, admitted, hints) =
            tokio::join!(self.idempotency.claim(call.key.as_ref()), self.admission.admit(&request), hints);
        let ((cache, entry), ()) = hints.unwrap_or(((CacheOutcome::Miss, None), ()));
        let (admitted, refused) = match admitted {
            Ok(admitted) => (Some(admitted), None),
            Err(error) => (None, Some(Error::from(error))),
        };
        let lease = claim.as_ref().ok().and_then(Claim::lease).cloned();
        *slot = admitted.map(|admitted| OpenCall::new(admitted, lease, call, cache));
        match (claim, slot.as_mut()) {
            (Ok(Claim::Run(_)), Some(open)) => Ok(match entry {
                Some(entry) => Start::Cached(entry, open),
                None => Start::Run(open),
            }),
            // A replay costs nothing: callers that could not pay for the call get it, too.
            (Ok(Claim::Follow(record)), open) => Ok(Start::Follow(record, open.map(|open| &*open))),
            // A caller that may not run keeps neither its claim nor its reservation.
            (Ok(Claim::Run(lease)), None) => {
                let error = refused.unwrap_or(Error::Contended("the project's meter"));
                self.idempotency.complete(lease.as_ref(), false, error_answer(&(call.render_error)(&error))).await;
                Err(error)
            }
            (claim, open) => {
                if let Some(open) = open {
                    self.release(open).await;
                }
                Err(claim.err().map_or(Error::KeyReused, Error::from))
            }
        }
    }
}

/// The metadata of an answer that another run produced.
pub(super) fn replay_metadata(call: &Call, open: Option<&OpenCall>) -> CallMetadata {
    CallMetadata {
        replayed: true,
        cost: Some(MicroUsd(0)),
        model: call.model.name.clone(),
        rates: open.map(|open| open.metadata.rates).unwrap_or_default(),
        ..CallMetadata::default()
    }
}
