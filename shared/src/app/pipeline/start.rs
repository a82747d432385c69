//! The one parallel round trip before the provider: claim the key, admit the call, look into the cache.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::{Call, OpenCall, Pipeline};
use crate::app::answer::CallMetadata;
use crate::app::cache::CacheOutcome;
use crate::app::error::Error;
use crate::app::idempotency::{Claim, error_answer};
use crate::data::{CacheEntry, Record};
use crate::model::money::MicroUsd;

/// The way of a call after the round trip.
pub(super) enum Start<'s, 'a> {
    Run(&'s mut OpenCall<'a>),
    Cached(CacheEntry, &'s mut OpenCall<'a>),
    /// Another caller runs the request or ran it. The reservation, if there is one, is to be given back.
    Follow(Record, Option<&'s OpenCall<'a>>),
}

impl Pipeline {
    /// Claims, admits, looks up. The admitted call goes into `slot` at once, so that its supervisor can settle it.
    pub(super) async fn start<'s, 'a>(
        &'a self,
        call: &'a Call,
        slot: &'s mut Option<OpenCall<'a>>,
    ) -> Result<Start<'s, 'a>, Error> {
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
        let open = |admitted, lease| OpenCall::new(self, call, admitted, lease, cache);
        match (claim, admitted) {
            (Ok(Claim::Run(lease)), Ok(admitted)) => {
                let open = slot.insert(open(admitted, lease));
                Ok(match entry {
                    Some(entry) => Start::Cached(entry, open),
                    None => Start::Run(open),
                })
            }
            // A replay costs nothing: callers that could not pay for the call get it, too.
            (Ok(Claim::Follow(record)), admitted) => {
                *slot = admitted.ok().map(|admitted| open(admitted, None));
                Ok(Start::Follow(record, slot.as_ref()))
            }
            // A caller that may not run keeps neither its claim nor its reservation.
            (Ok(Claim::Run(lease)), Err(error)) => {
                self.idempotency.complete(lease.as_ref(), false, error_answer(&(call.render_error)(&error))).await;
                Err(error)
            }
            (claim, admitted) => {
                if let Ok(admitted) = admitted {
                    slot.insert(open(admitted, None)).release().await;
                }
                Err(claim.err().map_or(Error::KeyReused, Error::from))
            }
        }
    }
}

/// The metadata of an answer that another run produced.
pub(super) fn replay_metadata(call: &Call, open: Option<&OpenCall<'_>>) -> CallMetadata {
    CallMetadata {
        replayed: true,
        cost: Some(MicroUsd(0)),
        model: call.model.name.clone(),
        rates: open.map(|open| open.metadata.rates).unwrap_or_default(),
        ..CallMetadata::default()
    }
}
