//! The worker that delivers events to webhook endpoints.

use shared::edge::Deps;
use shared::edge::worker::{self, SqsBatchResponse, SqsEvent};
use shared::model::message::{DeliveryKey, Message};

/// Makes the attempt that each message of a batch stands for, all at once.
pub async fn job(event: SqsEvent, gateway: Deps) -> SqsBatchResponse {
    let gateway = &gateway;
    worker::batch("deliver", event, async |message: Message<DeliveryKey>| gateway.deliver(&message.key).await).await
}
