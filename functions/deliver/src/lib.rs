//! The worker that delivers events to webhook endpoints.

use std::sync::Arc;

use shared::app::webhooks::Deliverer;
use shared::edge::worker::{self, SqsBatchResponse, SqsEvent};
use shared::model::message::{DeliveryKey, Message};

/// Makes the delivery attempt that each message of a batch asks for, all at once.
pub async fn job(event: SqsEvent, deliverer: Arc<Deliverer>) -> SqsBatchResponse {
    let deliverer = &deliverer;
    worker::batch("deliver", event, async |message: Message<DeliveryKey>| deliverer.deliver(&message.key).await).await
}
