//! The pipeline of a call: [`Call`] (checked, priced, bounded) -> [`OpenCall`] (admitted, key claimed, cache looked up) ->
//! the provider's answer -> settled. A worker takes the same steps with the same parts, under the fence of its record
//! instead of a key (`jobs::worker`).
//!
//! A call runs in a task of its own: it ends whether or not its client stays. Every way out settles it: success, error,
//! refusal, hang-up, deadline, and a panic anywhere in the task.

mod call;
mod run;
mod start;
mod usage_meter;

use std::sync::Arc;

use tokio::time::Instant;

use super::admission::Admission;
use super::cache::ResponseCache;
use super::dispatch::{DispatchRequest, Dispatched, Dispatcher, ProviderAnswer};
use super::error::Error;
use super::idempotency::{Idempotency, error_answer};
use super::ledger::Ledger;
use super::tasks::Tasks;
use crate::data::StoredAnswer;
use crate::model::object::Object;
use crate::model::tokens::Usage;

pub use call::CallOptions;
pub(super) use call::{Call, GRACE_MS, TimeLimit, find_model};
pub(super) use run::Runner;
pub(super) use start::OpenCall;
pub(super) use usage_meter::UsageMeter;

/// Takes calls from their admission to their settlement.
pub(super) struct Pipeline {
    pub(super) admission: Arc<Admission>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) idempotency: Idempotency,
    pub(super) cache: ResponseCache,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) tasks: Tasks,
}

impl Pipeline {
    /// Calls the provider. From here on the call may cost money.
    ///
    /// # Errors
    /// `Provider`.
    pub(super) async fn dispatch(
        &self,
        call: &Call,
        open: &mut OpenCall,
        body: &Object,
        stream: bool,
    ) -> Result<ProviderAnswer, Error> {
        let request = DispatchRequest {
            endpoint: call.endpoint,
            model: &call.model,
            served: &call.served,
            body,
            stream,
            deadline: call.time.deadline,
        };
        let sent_at = Instant::now();
        open.used.mark_sent();
        let dispatched = self.dispatcher.dispatch(&request).await;
        open.metadata.provider_time = sent_at.elapsed();
        let Dispatched { answer, provider, attempts } = dispatched?;
        open.metadata.provider = Some(provider);
        open.metadata.attempts = attempts;
        Ok(answer)
    }

    /// Settles a call at its usage.
    pub(super) async fn settle(&self, call: &Call, open: &OpenCall, usage: &Usage) {
        let cost = call.cost(usage);
        self.ledger.settle(&call.account(), &open.admitted, usage, cost).await;
        open.close();
    }

    /// Gives the reservation of a call back: the call used nothing.
    pub(super) async fn release(&self, open: &OpenCall) {
        self.ledger.release(&open.admitted).await;
        open.close();
    }

    /// Completes the run of the call's idempotency key.
    pub(super) async fn complete(&self, open: &OpenCall, success: bool, answer: StoredAnswer) {
        self.idempotency.complete(open.lease.as_ref(), success, answer).await;
    }

    /// Completes the run of the call's idempotency key with an error, for the requests that wait for it.
    pub(super) async fn complete_failed(&self, call: &Call, open: &OpenCall, error: &Error) {
        self.complete(open, false, error_answer(&(call.render_error)(error))).await;
    }

    /// Ends a call that got no answer: nothing is charged, and its key is free again.
    pub(super) async fn fail(&self, call: &Call, open: &OpenCall, error: &Error) {
        tokio::join!(self.release(open), self.complete_failed(call, open, error));
    }
}
