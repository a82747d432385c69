//! Batches as JSON.

use serde::Serialize;
use shared::edge::Params;
use shared::model::batch::{Batch, BatchError, BatchStatus, LineCounts};
use shared::model::id;
use shared::model::invalid::Invalid;
use shared::model::object::Object;

#[derive(Serialize)]
pub(crate) struct BatchObject {
    id: String,
    object: &'static str,
    endpoint: String,
    model: Option<String>,
    errors: Option<Errors>,
    input_file_id: String,
    completion_window: &'static str,
    status: BatchStatus,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    created_at: u64,
    in_progress_at: Option<u64>,
    expires_at: u64,
    finalizing_at: Option<u64>,
    completed_at: Option<u64>,
    failed_at: Option<u64>,
    expired_at: Option<u64>,
    cancelling_at: Option<u64>,
    cancelled_at: Option<u64>,
    request_counts: RequestCounts,
    usage: Usage,
    metadata: Option<Object>,
    weir: OwnFields,
}

#[derive(Serialize)]
struct Errors {
    object: &'static str,
    data: Vec<BatchError>,
}

#[derive(Serialize)]
struct RequestCounts {
    total: u64,
    completed: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

/// What OpenAI's batches do not tell.
#[derive(Serialize)]
struct OwnFields {
    /// Of the lines that ended.
    cost_usd: f64,
    /// Why lines wait; `null`: they do not.
    waiting_for: Option<String>,
    /// When they are tried again.
    waiting_until: Option<u64>,
}

impl From<Batch> for BatchObject {
    fn from(batch: Batch) -> Self {
        let expires_at = batch.expires_at().seconds();
        let ended_at = batch.times.ended_at.map(|at| at.seconds());
        let ended_as = |status| ended_at.filter(|_| batch.status == status);
        // File ids are there while the files are written; they can be read when they are whole.
        let has_files = batch.status.is_terminal();
        let waiting = batch.waiting.filter(|_| batch.status == BatchStatus::InProgress);
        let LineCounts { completed, failed, usage, cost, .. } = batch.counts;
        Self {
            id: batch.key.batch_id,
            object: "batch",
            endpoint: batch.endpoint.url(),
            model: batch.model,
            errors: (!batch.errors.is_empty()).then_some(Errors { object: "list", data: batch.errors }),
            input_file_id: batch.input_file_id,
            completion_window: "24h",
            status: batch.status,
            output_file_id: batch.output_file_id.filter(|_| has_files),
            error_file_id: batch.error_file_id.filter(|_| has_files),
            created_at: batch.created_at.seconds(),
            in_progress_at: batch.times.in_progress_at.map(|at| at.seconds()),
            expires_at,
            finalizing_at: batch.times.finalizing_at.map(|at| at.seconds()),
            completed_at: ended_as(BatchStatus::Completed),
            failed_at: ended_as(BatchStatus::Failed),
            expired_at: ended_as(BatchStatus::Expired),
            cancelling_at: batch.times.cancelling_at.map(|at| at.seconds()),
            cancelled_at: ended_as(BatchStatus::Cancelled),
            request_counts: RequestCounts { total: batch.lines, completed, failed },
            usage: Usage {
                input_tokens: usage.input,
                input_tokens_details: InputDetails { cached_tokens: usage.cached_input },
                output_tokens: usage.output,
                output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning },
                total_tokens: usage.input + usage.output,
            },
            metadata: (!batch.metadata.is_empty()).then_some(batch.metadata),
            weir: OwnFields {
                cost_usd: cost.dollars(),
                waiting_until: waiting.as_ref().map(|waiting| waiting.until.seconds()),
                waiting_for: waiting.map(|waiting| waiting.reason),
            },
        }
    }
}

/// The longest page.
const MAX_LIMIT: u64 = 100;
const USUAL_LIMIT: u64 = 20;

/// Reads the parameters `after` and `limit`.
pub(crate) fn page(params: &Params) -> Result<(Option<String>, usize), Invalid> {
    let limit = params.number("limit")?.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Invalid::field("limit", format!("`limit` is {limit}, expected 1 to {MAX_LIMIT}.")));
    }
    let after = params.text("after").map(str::to_owned);
    if after.as_ref().is_some_and(|after| after.len() > id::MAX_LENGTH) {
        return Err(Invalid::field("after", "`after` is no id of a batch. Send the last id of the page before."));
    }
    Ok((after, usize::try_from(limit).unwrap_or(usize::MAX)))
}
