//! The record of a batch.

use super::super::error::StoreError;
use super::super::item::{Item, Reader, insert_present, number, text};
use super::super::keys;
use crate::data::due::due_shard;
use crate::model::batch::{Batch, BatchEndpoint, BatchKey, BatchStatus, BatchTimes, LineCounts, Waiting};
use crate::model::clock::Timestamp;
use crate::model::meter::RunName;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::tokens::Usage;

/// A batch as it begins. Nobody has taken it up.
pub(super) fn new_record(batch: &Batch) -> Item {
    let mut item = keys::batch(&batch.key).with([
        ("endpoint", text(batch.endpoint.url())),
        ("input_file", text(&batch.input_file_id)),
        ("api_key_id", text(&batch.api_key_id)),
        ("metadata", text(String::from_utf8_lossy(&batch.metadata.to_bytes()))),
        ("created_at", number(batch.created_at.0)),
        ("batch_status", text(batch.status.name())),
        ("kept_seconds", number(batch.kept_seconds)),
        ("fence", number(0)),
        ("lease_until", number(0)),
        ("due_shard", text(due_shard(&batch.key.batch_id))),
    ]);
    insert_present(
        &mut item,
        [
            ("run", batch.run.as_ref().map(|run| text(run.as_str()))),
            ("run_budget", batch.run_budget.map(|budget| number(budget.0))),
            ("output_seconds", batch.output_seconds.map(number)),
            ("due_at", batch.due_at.map(|due_at| number(due_at.0))),
            ("traceparent", batch.traceparent.as_ref().map(text)),
        ],
    );
    item
}

pub(super) fn read_batch(project_id: &str, item: &Item) -> Result<Batch, StoreError> {
    let reader = Reader(item);
    let time = |name| Ok::<_, StoreError>(reader.maybe_number(name)?.map(Timestamp));
    let count = |name| Ok::<_, StoreError>(reader.maybe_number(name)?.unwrap_or(0));
    let metadata = reader.text("metadata")?;
    let errors = reader.maybe_text("errors").map(|errors| serde_json::from_str(&errors)).transpose();
    let waiting = reader.maybe_text("waiting_for").zip(time("waiting_until")?);
    Ok(Batch {
        key: BatchKey { project_id: project_id.to_owned(), batch_id: reader.text("sk")? },
        endpoint: BatchEndpoint::of_url(&reader.text("endpoint")?).ok_or_else(|| reader.damaged("endpoint"))?,
        input_file_id: reader.text("input_file")?,
        api_key_id: reader.text("api_key_id")?,
        run: reader.maybe_text("run").map(RunName::from_stored),
        run_budget: reader.maybe_number("run_budget")?.map(MicroUsd),
        metadata: Object::parse(metadata.as_bytes()).map_err(|_| reader.damaged("metadata"))?,
        output_seconds: reader.maybe_number("output_seconds")?,
        created_at: Timestamp(reader.number("created_at")?),
        status: BatchStatus::parse(&reader.text("batch_status")?).ok_or_else(|| reader.damaged("batch_status"))?,
        times: BatchTimes {
            in_progress_at: time("in_progress_at")?,
            cancelling_at: time("cancelling_at")?,
            finalizing_at: time("finalizing_at")?,
            ended_at: time("ended_at")?,
        },
        model: reader.maybe_text("model"),
        errors: errors.map_err(|_| reader.damaged("errors"))?.unwrap_or_default(),
        lines: count("line_count")?,
        parts: reader.maybe_number("parts")?.unwrap_or(0),
        is_native: item.contains_key("is_native"),
        parts_done: reader.maybe_number("parts_done")?.unwrap_or(0),
        counts: LineCounts {
            completed: count("completed")?,
            failed: count("failed")?,
            expired: count("expired")?,
            usage: Usage {
                input: count("input_tokens")?,
                cached_input: count("cached_tokens")?,
                output: count("output_tokens")?,
                reasoning: count("reasoning_tokens")?,
                ..Usage::default()
            },
            cost: MicroUsd(count("cost")?),
        },
        output_file_id: reader.maybe_text("output_file"),
        error_file_id: reader.maybe_text("error_file"),
        waiting: waiting.map(|(reason, until)| Waiting { reason, until }),
        kept_seconds: reader.number("kept_seconds")?,
        kept_until: reader.maybe_number("expires_at")?,
        fence: reader.number("fence")?,
        due_at: time("due_at")?,
        traceparent: reader.maybe_text("traceparent"),
    })
}
