//! Batches: files with many requests. Callers make, read and cancel them here; a worker runs them.

mod assemble;
mod check;
mod collect;
mod lease;
mod line;
mod lines;
mod native;
mod open_part;
mod pace;
mod part;
mod quote;
mod reserve;
mod route;
mod runner;
mod stores;
mod terms;
mod wave;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use super::admission::Admission;
use super::error::Error;
use super::files::require_retention;
use super::generation::LOST_AFTER_MS;
use super::idempotency::{CreationKeys, Made, gone};
use super::pipeline::CallOptions;
use super::telemetry::current_traceparent;
use super::worker_queues::WorkerQueues;
use crate::data::{BatchRecords, FileRecords};
use crate::dialects::openai_batches::CreateBatch;
use crate::model::batch::{Batch, BatchKey, BatchStatus};
use crate::model::clock::{Clock, Timestamp};
use crate::model::file::{File, FileKey, Purpose};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::page::Page;
use crate::model::project::Caller;
pub(super) use lease::PartLease;
pub(super) use pace::Paces;
pub(super) use quote::BatchQuotes;
pub use quote::{BatchQuote, RefusedLine};
pub(super) use runner::{NATIVE_TURNS, PartRunner};
pub(super) use stores::BatchStores;
pub use worker::BatchWorker;

/// Operations on the batches of a project.
pub struct Batches {
    pub(super) records: BatchRecords,
    pub(super) files: FileRecords,
    pub(super) creations: CreationKeys,
    pub(super) admission: Arc<Admission>,
    pub(super) queues: WorkerQueues,
    pub(super) clock: Clock,
}

impl Batches {
    /// Accepts a batch. A worker checks its file. A repeated request gets the batch that the first one made.
    ///
    /// # Errors
    /// `Refused` by a limit of requests per minute; `Invalid` if the project has no such file, or the file is not for batches; `KeyReused`;
    /// `MadeAndGone` if the batch of an earlier request is not kept any more.
    pub async fn create(
        &self,
        caller: &Caller,
        create: CreateBatch,
        options: &CallOptions,
    ) -> Result<Made<Batch>, Error> {
        require_retention(&caller.project.policy)?;
        let run_name = options.run.named(Some(&create.metadata))?;
        let key = options.idempotency_key.as_deref();
        let by = CreationKeys::plan(&caller.project, "/batches", key, options.retry_count, &create.object);
        if let Some(batch_id) = self.creations.find(by.as_ref()).await? {
            return self.made_before(caller, &batch_id).await;
        }
        self.admission.count(caller).await?;
        let (project, now) = (&caller.project, self.clock.now());
        find_input(&self.files, caller, &create.input_file_id, now).await?;
        let key = BatchKey { project_id: project.id.clone(), batch_id: id::new_ordered("batch_", now) };
        let (input_file_id, api_key_id) = (create.input_file_id, caller.api_key_id.clone());
        let batch = Batch {
            run: run_name,
            run_budget: options.run.budget,
            metadata: create.metadata,
            output_seconds: create.output_seconds,
            due_at: Some(now.plus_ms(LOST_AFTER_MS)),
            traceparent: current_traceparent(),
            ..Batch::new(key, create.endpoint, input_file_id, api_key_id, project.policy.kept_seconds(), now)
        };
        // Another request with the key may have come first since the key was looked up.
        let outcome = self.records.create(&batch, by.as_ref()).await?;
        if let Some(batch_id) = CreationKeys::earlier(outcome, by.as_ref())? {
            return self.made_before(caller, &batch_id).await;
        }
        self.queues.wake_for_batch(&batch, None, Duration::ZERO).await;
        Ok(Made::now(batch))
    }

    async fn made_before(&self, caller: &Caller, batch_id: &str) -> Result<Made<Batch>, Error> {
        self.get(caller, batch_id).await.map(Made::before).map_err(gone)
    }

    /// Returns a batch.
    ///
    /// # Errors
    /// `NotFound` if the caller's project has no batch with that id.
    pub async fn get(&self, caller: &Caller, batch_id: &str) -> Result<Batch, Error> {
        let key = key(caller, batch_id)?;
        let batch = self.records.get(&key).await?.and_then(|batch| self.shown(batch));
        batch.ok_or_else(|| not_found(batch_id))
    }

    /// Returns a page of the caller's batches, the newest first.
    ///
    /// # Errors
    /// Only those of all operations.
    pub async fn list(&self, caller: &Caller, after: Option<&str>, limit: usize) -> Result<Page<Batch>, Error> {
        let page = Page::cut(self.records.list(&caller.project.id, after, limit).await?, limit);
        let items = page.items.into_iter().filter_map(|batch| self.shown(batch)).collect();
        Ok(Page { items, ..page })
    }

    /// A batch as its project sees it; `None`: it is not kept any longer, and DynamoDB has not deleted it yet.
    fn shown(&self, batch: Batch) -> Option<Batch> {
        let now = self.clock.now();
        let is_kept = batch.kept_until.is_none_or(|until| now.seconds() < until);
        let waiting = batch.waiting.clone().filter(|waiting| waiting.until > now);
        is_kept.then_some(Batch { waiting, ..batch })
    }

    /// Cancels a batch: lines that were not begun are not run. Cancelling it again changes nothing.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if its results are written already, or it has ended.
    pub async fn cancel(&self, caller: &Caller, batch_id: &str) -> Result<Batch, Error> {
        let key = key(caller, batch_id)?;
        let batch = self.records.cancel(&key, self.clock.now()).await?.and_then(|batch| self.shown(batch));
        let batch = batch.ok_or_else(|| not_found(batch_id))?;
        match batch.status {
            BatchStatus::Cancelling => {
                self.queues.wake_for_batch(&batch, None, Duration::ZERO).await;
                Ok(batch)
            }
            BatchStatus::Cancelled => Ok(batch),
            status => {
                let message = format!("The batch cannot be cancelled: its status is `{}`.", status.name());
                Err(Invalid { message, param: None, code: Some("batch_not_cancellable") }.into())
            }
        }
    }
}

/// The file of requests with this id.
///
/// # Errors
/// `Invalid` if the caller's project has no such file, or the file is not for batches.
async fn find_input(files: &FileRecords, caller: &Caller, file_id: &str, now: Timestamp) -> Result<File, Error> {
    let key = FileKey { project_id: caller.project.id.clone(), file_id: file_id.to_owned() };
    let wrong = |message| Invalid::field("input_file_id", message);
    let file = files.get(&key, now).await?.ok_or_else(|| {
        let shown = &file_id[..file_id.floor_char_boundary(id::MAX_LENGTH)];
        wrong(format!("No file found with id '{shown}'. Upload it first: POST /v1/files with the purpose `batch`."))
    })?;
    if file.purpose != Purpose::Batch {
        let message = format!("The file has the purpose `{}`, expected `batch`.", file.purpose.name());
        return Err(wrong(message).into());
    }
    Ok(file)
}

fn not_found(batch_id: &str) -> Error {
    Error::not_found("batch", batch_id)
}

/// The key of a batch. Text that cannot be an id is refused, because ids become part of a table key.
fn key(caller: &Caller, batch_id: &str) -> Result<BatchKey, Error> {
    let is_id =
        batch_id.strip_prefix("batch_").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if !is_id || batch_id.len() > id::MAX_LENGTH {
        return Err(not_found(batch_id));
    }
    Ok(BatchKey { project_id: caller.project.id.clone(), batch_id: batch_id.to_owned() })
}
