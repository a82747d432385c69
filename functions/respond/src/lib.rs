//! The worker of background responses.
//!
//! One invocation runs a whole batch of messages at once, and receives more while it has room: a job that waits for its
//! provider needs no processor.

use std::sync::Arc;

use shared::app::ResponseWorker;
use shared::edge::worker::{self, MoreMessages, SqsBatchResponse, SqsEvent};
use shared::model::clock::Timestamp;
use shared::model::message::{Message, ResponseKey};

/// Works on each response that the messages name. `function_ends` is the time at which Lambda stops the invocation.
pub async fn job(event: SqsEvent, worker: Arc<ResponseWorker>, function_ends: Option<Timestamp>) -> SqsBatchResponse {
    let worker = &worker;
    let work = async |message: Message<ResponseKey>| worker.work(&message.key, function_ends).await;
    worker::batch("respond", event, work).await
}

/// Works as [`job`] does, and on those of `more` that still have the time that a call may take.
pub async fn job_and_more(
    event: SqsEvent,
    worker: Arc<ResponseWorker>,
    more: MoreMessages,
    function_ends: Timestamp,
) -> SqsBatchResponse {
    let worker = &worker;
    let more = more.until(worker.begins_until(function_ends).await);
    let work = async |message: Message<ResponseKey>| worker.work(&message.key, Some(function_ends)).await;
    worker::batch_and_more("respond", event, Some(&more), work).await
}
