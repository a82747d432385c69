//! The worker of vector stores: it reads, cuts and embeds files.
//!
//! One invocation works on one message: the text of a file and its vectors may need most of the memory.

mod reader;

use std::sync::Arc;

use shared::app::IngestWorker;
use shared::edge::worker::{self, SqsBatchResponse, SqsEvent};
use shared::model::clock::Timestamp;
use shared::model::message::Message;
use shared::model::vector_store::IngestWork;

pub use reader::FileReader;

/// Does the work that each message names. `function_ends` is the time at which Lambda stops the invocation.
pub async fn job(event: SqsEvent, worker: Arc<IngestWorker>, function_ends: Option<Timestamp>) -> SqsBatchResponse {
    let worker = &worker;
    let work = async |message: Message<IngestWork>| worker.work(&message.key, function_ends).await;
    worker::batch("ingest", event, work).await
}
