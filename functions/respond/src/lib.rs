//! The worker of background responses: a batch of messages runs concurrently in one invocation, because waiting for a
//! provider costs no processor.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use shared::edge::{Deps, worker};
use shared::model::clock::Timestamp;
use shared::model::message::{Message, ResponseKey};

/// Works on every response that the messages name. `function_ends` is when the invocation is stopped.
pub async fn job(event: SqsEvent, gateway: Deps, function_ends: Option<Timestamp>) -> SqsBatchResponse {
    worker::batch("respond", event, |message: Message<ResponseKey>| {
        let gateway = gateway.clone();
        async move { gateway.respond(&message.key, function_ends).await }
    })
    .await
}
