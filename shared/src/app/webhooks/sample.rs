//! Sending an event as a test, while its owner waits.

use super::deliver::CONCURRENT_DELIVERIES;
use super::{Webhooks, require_receivers};
use crate::app::error::Error;
use crate::dialects::openai_responses::new_response_id;
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::meter::Refusal;
use crate::model::project::Caller;
use crate::model::slot::{Slot, SlotKind};
use crate::model::webhook::{EndpointStatus, EventType, Post, SendError, WebhookEndpoint, WebhookEvent};

impl Webhooks {
    /// Sends an event of this type to an endpoint, whether or not the endpoint subscribes to the type. Returns the status that
    /// the receiver answered.
    ///
    /// The event is about a response or a batch that does not exist. It is sent once, it is no delivery, and it changes nothing.
    ///
    /// # Errors
    /// - `NotFound` if the project has no endpoint with that id.
    /// - `Invalid` if the endpoint is disabled, or no status came back.
    /// - `Refused` if as many deliveries of the project go on as may.
    pub async fn send_sample(&self, caller: &Caller, id: &str, event_type: EventType) -> Result<u16, Error> {
        let endpoint = self.get(caller, id).await?;
        if endpoint.status != EndpointStatus::Enabled {
            return Err(not_sent("The webhook endpoint is disabled; enable it first.", "webhook_endpoint_disabled"));
        }
        // Receivers that hang must not keep all functions.
        let slot = Slot::new(&endpoint.project_id, SlotKind::Delivery, id::random(12));
        if !self.slots.take(&slot, CONCURRENT_DELIVERIES).await? {
            return Err(Error::Refused(Refusal::delivering(CONCURRENT_DELIVERIES).into()));
        }
        self.slots.keep(&slot, self.post_sample(&endpoint, event_type)).await
    }

    async fn post_sample(&self, endpoint: &WebhookEndpoint, event_type: EventType) -> Result<u16, Error> {
        let now = self.clock.now();
        let body = WebhookEvent::new(event_type, sample_id(event_type, now), now).body();
        let id = id::new_ordered("wh_", now);
        let post = Post {
            url: endpoint.url.clone(),
            timestamp: now.seconds(),
            signature: endpoint.secrets.signature(&id, now, &body),
            id,
            body,
            traceparent: None,
        };
        let answer = require_receivers(self.receivers.as_deref())?.post(&post).await;
        answer.map(|answer| answer.status).map_err(unanswered)
    }
}

/// The id of an object that such an event is about.
fn sample_id(event_type: EventType, now: Timestamp) -> String {
    match event_type {
        EventType::ResponseCompleted
        | EventType::ResponseFailed
        | EventType::ResponseIncomplete
        | EventType::ResponseCancelled => new_response_id(now),
        EventType::BatchCompleted | EventType::BatchFailed | EventType::BatchExpired | EventType::BatchCancelled => {
            id::new_ordered("batch_", now)
        }
    }
}

fn unanswered(error: SendError) -> Error {
    not_sent(&format!("The webhook endpoint did not answer: {error}."), "webhook_endpoint_unanswered")
}

fn not_sent(message: &str, code: &'static str) -> Error {
    Invalid { message: message.to_owned(), param: None, code: Some(code) }.into()
}
