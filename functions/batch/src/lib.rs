//! The worker of batches.
//!
//! One invocation works on several messages at once: lines that wait for their provider need no processor.

use std::sync::Arc;

use shared::app::BatchWorker;
use shared::edge::worker::{self, SqsBatchResponse, SqsEvent};
use shared::model::batch::BatchWork;
use shared::model::clock::Timestamp;
use shared::model::message::Message;

/// Does the work that each message names. `function_ends` is the time at which Lambda stops the invocation.
pub async fn job(event: SqsEvent, worker: Arc<BatchWorker>, function_ends: Option<Timestamp>) -> SqsBatchResponse {
    let worker = &worker;
    let work = async |message: Message<BatchWork>| worker.work(&message.key, function_ends).await;
    worker::batch("batch", event, work).await
}
