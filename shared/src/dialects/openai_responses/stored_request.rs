//! The request of a response, as its record stores it: to be run by a worker, to be continued, to be listed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{CreateResponse, Item};
use crate::dialects::openai_chat::Body;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The stored part of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredRequest {
    /// The body as it was sent, but with the input as items that have ids.
    body: Object,
    /// Items of the turns before.
    context: Vec<Object>,
    /// The response before anything was generated.
    pub skeleton: Object,
    /// The limit of output tokens that a worker sends to the provider under the reservation of the acceptance.
    pub limit: Option<u64>,
    /// The place of the turn in its conversation, in Unix milliseconds.
    pub turn_at: u64,
}

impl StoredRequest {
    pub fn new(
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

    /// Of a request that no worker runs, no response continues and no client lists.
    #[must_use]
    pub fn without_input(skeleton: Object) -> Self {
        Self { body: Object::default(), context: Vec::new(), skeleton, limit: None, turn_at: 0 }
    }

    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a stored request.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(stored: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(stored)
    }

    /// The chat call that answers the request, which is checked again.
    ///
    /// # Errors
    /// `Invalid` if a later version of weir refuses the request.
    pub fn chat(&self, now: Timestamp) -> Result<Body, Invalid> {
        CreateResponse::parse_stored(self.body.clone(), now)?.chat(&self.context())
    }

    /// See [`CreateResponse::compacts`].
    #[must_use]
    pub fn compacts(&self) -> bool {
        self.input().last().is_some_and(Item::is_trigger)
    }

    /// The bytes of the request and of the turns before it.
    pub fn bytes(&self) -> usize {
        self.context.iter().map(Object::bytes).sum::<usize>() + self.body.bytes()
    }

    pub fn context(&self) -> Vec<Item> {
        self.context.iter().cloned().map(Item).collect()
    }

    /// The items that were sent with the request.
    pub fn input(&self) -> Vec<Item> {
        self.body.get::<Vec<Object>>("input").unwrap_or_default().into_iter().map(Item).collect()
    }
}

/// The output items of a response object.
///
/// # Errors
/// If it is damaged.
pub fn output_items(response: &[u8]) -> Result<Vec<Item>, serde_json::Error> {
    let response = Object::parse(response)?;
    Ok(response.get::<Vec<Object>>("output").unwrap_or_default().into_iter().map(Item).collect())
}
