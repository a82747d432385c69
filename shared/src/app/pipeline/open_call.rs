//! A call that was admitted: it calls its provider, and ends settled, released or handed over.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Call, Pipeline};
use crate::app::admission::Admitted;
use crate::app::answer::{CallMetadata, FinalUsage};
use crate::app::cache::CacheOutcome;
use crate::app::call_files::Room;
use crate::app::dispatch::{Acceptance, Accepted, DispatchRequest, Dispatched, ProviderAnswer, UsageMeter};
use crate::app::error::Error;
use crate::app::idempotency::error_answer;
use crate::data::{Lease, StoredAnswer, StoredReservation};
use crate::dialects::ContentType;
use crate::model::object::Object;
use crate::model::tokens::Charge;

/// A call that was admitted and is not settled yet.
pub(in crate::app) struct OpenCall<'a> {
    pub(in crate::app) pipeline: &'a Pipeline,
    pub(in crate::app) call: &'a Call,
    pub(in crate::app) admitted: Admitted,
    pub(in crate::app) lease: Option<Lease>,
    pub(in crate::app) metadata: CallMetadata,
    pub(in crate::app) used: UsageMeter,
    /// Settled, or handed over.
    closed: AtomicBool,
}

impl<'a> OpenCall<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        call: &'a Call,
        admitted: Admitted,
        lease: Option<Lease>,
        cache: CacheOutcome,
    ) -> Self {
        let metadata = CallMetadata {
            model: call.model.name.clone(),
            rates: admitted.rates,
            admission: call.begun_at.elapsed(),
            cache,
            ..CallMetadata::default()
        };
        Self { pipeline, call, admitted, lease, metadata, used: UsageMeter::default(), closed: AtomicBool::new(false) }
    }

    /// Calls the provider. From here on the call may cost money. If the provider has accepted a streamed call and then says
    /// nothing for some seconds, `in_silence` is called with what is known.
    ///
    /// # Errors
    /// `Provider`; `Invalid` if an uploaded file that the call names was deleted in the meantime.
    pub(in crate::app) async fn dispatch(
        &mut self,
        body: &Object,
        stream: bool,
        in_silence: impl AsyncFnOnce(CallMetadata),
    ) -> Result<ProviderAnswer, Error> {
        let Call { endpoint, ref caller, ref model, ref served, time, .. } = *self.call;
        let (body, _room) = self.with_files(body).await?;
        let project_id = &caller.project.id;
        let (used, is_held_once) = (&self.used, self.admitted.budgeted);
        let deadline = time.deadline;
        let acceptance = Acceptance::default();
        let request = DispatchRequest {
            project_id,
            endpoint,
            model,
            served,
            body: &body,
            uploads: &self.call.body.uploads,
            headers: &self.call.headers,
            stream,
            deadline,
            used,
            is_held_once,
            acceptance: Some(&acceptance),
            runs_before: 0,
        };
        let sent_at = Instant::now();
        let mut dispatch = std::pin::pin!(self.pipeline.dispatcher.dispatch(&request));
        let dispatched = tokio::select! {
            biased;
            dispatched = &mut dispatch => dispatched,
            Accepted { provider, attempts } = acceptance.in_silence() => {
                let provider_time = sent_at.elapsed();
                let metadata = self.metadata.clone();
                in_silence(CallMetadata { provider: Some(provider), attempts, provider_time, ..metadata }).await;
                dispatch.await
            }
        };
        self.metadata.provider_time = sent_at.elapsed();
        let Dispatched { answer, provider, attempts } = dispatched.map_err(|error| error.charged(self.charge()))?;
        self.metadata.provider = Some(provider);
        self.metadata.attempts = attempts;
        Ok(answer)
    }

    /// The body with the contents of the uploaded files that it names, and the memory that they have until the provider answers.
    async fn with_files(&self, body: &Object) -> Result<(Object, Room), Error> {
        let (files, call) = (&self.pipeline.files, &self.call.body);
        let read = async {
            let room = files.room(&self.call.caller.project.id, call).await;
            Ok((files.fill(call, body).await?, room))
        };
        let too_late = |_| {
            Err(Error::Unavailable { action: "read the files in time", source: "the call had no time left".into() })
        };
        tokio::time::timeout_at(self.call.time.deadline, read).await.unwrap_or_else(too_late)
    }

    /// The charge for the usage so far.
    pub(in crate::app) fn charge(&self) -> Charge {
        self.used.charge(self.call.model.price.as_deref(), &self.call.bound)
    }

    /// The limit of output tokens that the provider is sent.
    pub(in crate::app) fn output_limit(&self) -> Option<u64> {
        self.call.output_limit(self.admitted.budgeted)
    }

    /// The reservation as the record of a response keeps it, for the first run.
    pub(in crate::app) fn reservation_of_first_run(&self) -> StoredReservation {
        let (bound, price) = (self.call.bound, self.call.model.price.clone());
        StoredReservation { fence: 1, placed: self.admitted.placed.clone(), bound, price }
    }

    /// Reports the end of the call to its log line.
    pub(in crate::app) fn report(&self, Charge { usage, cost, .. }: Charge, failed: bool) {
        let _ = self.metadata.final_usage.set(FinalUsage { usage, cost, failed });
    }

    pub(in crate::app) async fn settle(&self, charge: Charge) {
        self.pipeline.ledger.settle(&self.call.account(), &self.admitted.placed, charge).await;
        self.hand_over();
    }

    /// Gives the reservation back: the call used nothing.
    pub(in crate::app) async fn release(&self) {
        self.pipeline.ledger.release(&self.admitted.placed).await;
        self.hand_over();
    }

    /// Leaves the reservation to a record, or to the sweeper: this call does not settle it any more.
    pub(in crate::app) fn hand_over(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Completes the run of the call's idempotency key.
    pub(in crate::app) async fn complete(&self, success: bool, answer: StoredAnswer) {
        self.pipeline.idempotency.complete(self.lease.as_ref(), success, answer).await;
    }

    /// Completes the run of the call's idempotency key with an error, for the requests that wait for it.
    pub(in crate::app) async fn complete_failed(&self, error: &Error) {
        self.complete(false, error_answer(&(self.call.render_error)(error))).await;
    }

    /// Stores a complete, successful answer for the next request that is the same.
    pub(in crate::app) async fn cache(&self, content_type: ContentType, body: Bytes) {
        let (project_id, plan) = (&self.call.caller.project.id, self.call.cache.as_ref());
        self.pipeline.cache.store(project_id, plan, content_type, body).await;
    }

    /// Ends a call that got no answer: what may be billed is charged, and its key is free again.
    pub(in crate::app) async fn fail(&self, error: &Error) {
        tokio::join!(self.close(), self.complete_failed(error));
    }

    /// Ends a call whose task panicked, as one that got no answer.
    pub(super) async fn fail_panicked(&self, error: &Error) {
        let close = async {
            if !self.closed.load(Ordering::SeqCst) {
                self.close().await;
            }
        };
        tokio::join!(close, self.complete_failed(error));
    }

    /// Settles the call at its charge so far, or gives the reservation back if there is none.
    async fn close(&self) {
        let charge = self.charge();
        if charge == Charge::default() {
            return self.release().await;
        }
        self.report(charge, true);
        self.settle(charge).await;
    }
}
