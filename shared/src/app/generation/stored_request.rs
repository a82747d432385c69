//! The request of a response, as its record stores it: to be run by a worker, to be continued, to be listed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::app::error::Error;
use crate::dialects::openai_responses::{CreateResponse, Item};
use crate::model::clock::Timestamp;
use crate::model::object::Object;

/// The stored part of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct StoredRequest {
    /// The body as it was sent, but with the input as items that have ids.
    body: Object,
    /// Items of the turns before.
    context: Vec<Object>,
    /// The response before anything was generated.
    pub(in crate::app) skeleton: Object,
    /// The limit of output tokens that a worker sends to the provider under the reservation of the acceptance.
    pub(in crate::app) limit: Option<u64>,
    /// The place of the turn in its conversation, in Unix milliseconds.
    pub(in crate::app) turn_at: u64,
}

impl StoredRequest {
    pub(in crate::app) fn new(
        create: &CreateResponse,
        context: &[Item],
        turn_at: Timestamp,
        skeleton: Object,
        limit: Option<u64>,
    ) -> Self {
        Self {
            body: create.object.clone().with("input", &create.input),
            context: context.iter().map(|item| item.0.clone()).collect(),
            skeleton,
            limit,
            turn_at: turn_at.0,
        }
    }

    pub(in crate::app) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a stored request.
    ///
    /// # Errors
    /// `Internal` if it is damaged.
    pub(in crate::app) fn read(stored: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(stored).map_err(Error::internal("read the request of a response"))
    }

    /// The request, checked again.
    ///
    /// # Errors
    /// `Invalid` if a later version of weir refuses it.
    pub(in crate::app) fn create(&self, now: Timestamp) -> Result<CreateResponse, Error> {
        Ok(CreateResponse::parse(&self.body.to_bytes(), now)?)
    }

    pub(in crate::app) fn context(&self) -> Vec<Item> {
        self.context.iter().cloned().map(Item).collect()
    }

    /// The items that were sent with the request.
    pub(in crate::app) fn input(&self) -> Vec<Item> {
        self.body.get::<Vec<Object>>("input").unwrap_or_default().into_iter().map(Item).collect()
    }
}

/// The output items of a response object.
///
/// # Errors
/// `Internal` if it is damaged.
pub(in crate::app) fn output_items(response: &[u8]) -> Result<Vec<Item>, Error> {
    let response = Object::parse(response).map_err(Error::internal("read a response"))?;
    Ok(response.get::<Vec<Object>>("output").unwrap_or_default().into_iter().map(Item).collect())
}
