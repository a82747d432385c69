//! Quotes: the most that a call can cost, and what would admit or refuse it now. No provider is called, nothing is written.

use std::sync::Arc;

use super::admission::{Admission, LevelQuote};
use super::batches::{BatchQuote, BatchQuotes};
use super::error::Error;
use super::models::{Models, ServedModels};
use super::pipeline::{Asked, Call, CallOptions, check_callable};
use super::responses::{ResponseRequest, Responses};
use crate::dialects::openai_batches::CreateBatch;
use crate::dialects::openai_chat::Body;
use crate::model::clock::Clock;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;
use crate::model::tokens::Bound;

/// What a call can use and cost at most, and what its levels would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub model: String,
    /// The most that the call can use.
    pub bound: Bound,
    /// The most that it can cost; `None` if the model has no price.
    pub max_cost: Option<MicroUsd>,
    /// The tokens that count against the limits per minute while the call runs.
    pub counted_tokens: u64,
    /// The project first, then the key if it has limits, and the run if the call names one.
    pub levels: Vec<LevelQuote>,
}

/// Quotes calls.
pub struct Quotes {
    responses: Arc<Responses>,
    batches: BatchQuotes,
    models: Arc<Models>,
    admission: Arc<Admission>,
    clock: Clock,
}

impl Quotes {
    pub(super) fn new(
        responses: Arc<Responses>,
        batches: BatchQuotes,
        models: Arc<Models>,
        admission: Arc<Admission>,
        clock: Clock,
    ) -> Self {
        Self { responses, batches, models, admission, clock }
    }

    /// The models that can be quoted.
    ///
    /// # Errors
    /// `NoModels`.
    pub async fn models(&self) -> Result<Arc<ServedModels>, Error> {
        self.models.current().await
    }

    /// Quotes a call of chat completions, completions, embeddings or moderations.
    ///
    /// # Errors
    /// Those of the call itself before it is admitted: `NoModels`, `UnknownModel`, `WrongModel`, `Unpriced`, `Invalid`.
    pub async fn of_call(
        &self,
        caller: Caller,
        endpoint: Endpoint,
        mut body: Body,
        options: &CallOptions,
    ) -> Result<Quote, Error> {
        let served = self.models().await?;
        check_callable(&served, &caller, &body.model, endpoint)?;
        self.responses.pipeline.files.find_for(&caller, &mut body).await?;
        let sent = body.object.clone();
        self.quote(&Call::new(&self.clock, caller, endpoint, served, Asked { body, sent: &sent, options })?).await
    }

    /// Quotes a response. What it continues is read, because its tokens are input.
    ///
    /// # Errors
    /// As [`Quotes::of_call`], and `NotFound`.
    pub async fn of_response(&self, caller: Caller, request: ResponseRequest) -> Result<Quote, Error> {
        let (call, _) = self.responses.plan(caller, request).await?;
        self.quote(&call).await
    }

    /// Quotes a batch. Its file is read.
    ///
    /// # Errors
    /// `Forbidden` if the key may not read files or may not call the model; `Invalid` if the batch would be refused or would fail; `NoModels`,
    /// `UnknownModel`, `WrongModel`; `Unavailable` if the file was not read in time.
    pub async fn of_batch(
        &self,
        caller: &Caller,
        create: &CreateBatch,
        options: &CallOptions,
    ) -> Result<BatchQuote, Error> {
        self.batches.quote(caller, create, options).await
    }

    async fn quote(&self, call: &Call) -> Result<Quote, Error> {
        let request = call.admission_request();
        Ok(Quote {
            model: call.model.name.clone(),
            bound: call.bound,
            max_cost: call.model.price.as_ref().map(|_| call.model.worst_case(&call.bound)),
            counted_tokens: request.counted_tokens(),
            levels: self.admission.quote(&request).await?,
        })
    }
}
