//! The worker that delivers events to webhook endpoints.
//!
//! One invocation makes all attempts of a batch at once, and receives more messages while it has room.

use std::sync::Arc;

use shared::app::webhooks::Deliverer;
use shared::edge::worker::{self, MoreMessages, SqsBatchResponse, SqsEvent};
use shared::model::clock::Timestamp;
use shared::model::message::{DeliveryKey, Message};

/// Makes the delivery attempt that each message of a batch asks for, all at once.
pub async fn job(event: SqsEvent, deliverer: Arc<Deliverer>) -> SqsBatchResponse {
    let deliverer = &deliverer;
    worker::batch("deliver", event, async |message: Message<DeliveryKey>| deliverer.deliver(&message.key).await).await
}

/// The longest that an attempt takes: an endpoint has 15 seconds to answer, and the stores have to take note of it.
const ATTEMPT_MS: u64 = 20_000;

/// Works as [`job`] does, and on those of `more` that still have the time that an attempt may take.
pub async fn job_and_more(
    event: SqsEvent,
    deliverer: Arc<Deliverer>,
    more: MoreMessages,
    function_ends: Timestamp,
) -> SqsBatchResponse {
    let deliverer = &deliverer;
    let more = more.until(function_ends.minus_ms(ATTEMPT_MS));
    let work = async |message: Message<DeliveryKey>| deliverer.deliver(&message.key).await;
    worker::batch_and_more("deliver", event, Some(&more), work).await
}
