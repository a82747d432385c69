//! The request of a response, as it is kept: to be run by a worker, to be continued, to be listed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::app::error::Error;
use crate::dialects::openai_responses::{CreateResponse, Item};
use crate::model::clock::Timestamp;
use crate::model::object::Object;

/// What is kept of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredRequest {
    /// The body as it was sent, but with the input as items that have ids.
    body: Object,
    /// Items of the turns before.
    context: Vec<Object>,
    /// The response before anything was generated.
    pub(super) skeleton: Object,
    /// The limit of output tokens that a worker tells the provider under the hold of the acceptance.
    pub(super) limit: Option<u64>,
    /// Where the turn stands in its conversation, in Unix milliseconds.
    pub(super) turn_at: u64,
}

impl StoredRequest {
    pub(super) fn of(job: &Job, skeleton: Object) -> Self {
        let create = &job.request.create;
        Self {
            body: create.object.clone().with("input", &create.input),
            context: job.context.iter().map(|item| item.0.clone()).collect(),
            skeleton,
            limit: None,
            turn_at: job.turn_at.0,
        }
    }

    /// The request of a job that was accepted under a hold for this limit.
    pub(super) fn limited(self, limit: Option<u64>) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads what was kept.
    pub(super) fn read(kept: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(kept).map_err(Error::internal("read the request of a response"))
    }

    /// The request, as it was checked.
    pub(super) fn create(&self, now: Timestamp) -> Result<CreateResponse, Error> {
        Ok(CreateResponse::parse(&self.body.to_bytes(), now)?)
    }

    pub(super) fn context(&self) -> Vec<Item> {
        self.context.iter().cloned().map(Item).collect()
    }

    /// The items that were sent with the request.
    pub(super) fn input(&self) -> Vec<Item> {
        self.body.get::<Vec<Object>>("input").unwrap_or_default().into_iter().map(Item).collect()
    }
}

/// The output items of a response object.
pub(super) fn output(response: &[u8]) -> Result<Vec<Item>, Error> {
    let response = Object::parse(response).map_err(Error::internal("read a response"))?;
    Ok(response.get::<Vec<Object>>("output").unwrap_or_default().into_iter().map(Item).collect())
}
