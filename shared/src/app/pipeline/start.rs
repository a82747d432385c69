//! The one parallel round trip before the provider: claim the key, admit the call, look into the cache.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;

use super::{Call, Pipeline, UsageMeter};
use crate::app::admission::{AdmitError, Admitted};
use crate::app::answer::{CallMetadata, FinalUsage};
use crate::app::cache::CacheOutcome;
use crate::app::error::Error;
use crate::app::idempotency::{Claim, error_answer};
use crate::data::{CacheEntry, Lease, Record, StoreError};
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// A call that was admitted and is not settled yet.
pub(in crate::app) struct OpenCall {
    pub(in crate::app) admitted: Admitted,
    pub(in crate::app) lease: Option<Lease>,
    pub(in crate::app) metadata: CallMetadata,
    pub(in crate::app) used: UsageMeter,
    settled: AtomicBool,
}

impl OpenCall {
    fn new(admitted: Admitted, lease: Option<Lease>, metadata: CallMetadata) -> Self {
        Self { admitted, lease, metadata, used: UsageMeter::default(), settled: AtomicBool::new(false) }
    }

    /// Reports the usage and the price of the call to its log line.
    pub(in crate::app) fn report(&self, call: &Call, usage: &Usage, failed: bool) -> MicroUsd {
        let cost = call.cost(usage);
        let _ = self.metadata.final_usage.set(FinalUsage { usage: *usage, cost, failed });
        cost
    }

    /// Leaves the reservation to a record, or to the sweeper: this call does not settle it any more.
    pub(in crate::app) fn hand_over(&self) {
        self.mark_settled();
    }

    pub(super) fn mark_settled(&self) {
        self.settled.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst)
    }
}

/// The way of a call after the round trip.
pub(super) enum Start {
    Run(OpenCall),
    Cached(CacheEntry, OpenCall),
    /// Another caller runs the request or ran it. The reservation, if there is one, is to be given back.
    Follow(Record, Option<OpenCall>),
}

impl Pipeline {
    pub(super) async fn start(&self, call: &Call) -> Result<Start, Error> {
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
        let metadata = |admitted: &Admitted| CallMetadata {
            model: call.model.name.clone(),
            rates: admitted.rates,
            admission: call.begun_at.elapsed(),
            ..CallMetadata::default()
        };
        match self.decide(call, claim, admitted).await? {
            Decided::Run(lease, admitted) => {
                let metadata = CallMetadata { cache, ..metadata(&admitted) };
                let open = OpenCall::new(admitted, lease, metadata);
                Ok(match entry {
                    Some(entry) => Start::Cached(entry, open),
                    None => Start::Run(open),
                })
            }
            Decided::Follow(record, admitted) => {
                let open = admitted.map(|admitted| {
                    let metadata = metadata(&admitted);
                    OpenCall::new(admitted, None, metadata)
                });
                Ok(Start::Follow(record, open))
            }
        }
    }

    /// Decides from claim and admission, which were requested at once. A caller that may not run keeps neither.
    async fn decide(
        &self,
        call: &Call,
        claim: Result<Claim, StoreError>,
        admitted: Result<Admitted, AdmitError>,
    ) -> Result<Decided, Error> {
        match (claim, admitted) {
            (Ok(Claim::Run(lease)), Ok(admitted)) => Ok(Decided::Run(lease, admitted)),
            // A replay costs nothing: callers that could not pay for the call get it, too.
            (Ok(Claim::Follow(record)), admitted) => Ok(Decided::Follow(record, admitted.ok())),
            (Ok(Claim::Run(lease)), Err(error)) => {
                let error = Error::from(error);
                self.idempotency.complete(lease.as_ref(), false, error_answer(&(call.render_error)(&error))).await;
                Err(error)
            }
            (claim, admitted) => {
                if let Ok(admitted) = &admitted {
                    self.ledger.release(admitted).await;
                }
                Err(claim.err().map_or(Error::KeyReused, Error::from))
            }
        }
    }
}

enum Decided {
    Run(Option<Lease>, Admitted),
    Follow(Record, Option<Admitted>),
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
