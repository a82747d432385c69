//! The worker of batches: it checks files, runs parts, and writes the files of results.
//!
//! A message names a batch, or one of its parts. Any message may come twice, late or never: what is to be done is decided by the
//! record of the batch, and by the items of its parts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::check::{FileCheck, PartSize, error};
use super::lines::Lines;
use super::route::is_native;
use super::runner::PartRunner;
use super::stores::BatchStores;
use crate::app::error::Error;
use crate::app::models::Models;
use crate::app::pipeline::find_model;
use crate::app::telemetry::traceparent_after;
use crate::app::webhooks::Announcer;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{BatchEnd, CheckedFile, PartKey, PartState, WriteOutcome};
use crate::model::batch::{Batch, BatchError, BatchKey, BatchStatus, BatchWork, MAX_BATCH_BYTES, PartRange};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::file::FileKey;
use crate::model::project::Caller;
use crate::model::webhook::{EventType, WebhookEvent};

/// The most bytes of a line: those of a request.
pub(super) const MAX_LINE_BYTES: usize = 6 * 1024 * 1024;
/// Parts of a batch that run at the same time.
const PARTS_AT_ONCE: u32 = 4;
/// Parts of a batch that a provider has at the same time: all of 50,000 lines of usual length. No process waits for them.
const NATIVE_PARTS_AT_ONCE: u32 = 32;
/// A part is taken or waits for so long at most: one of a delayed message.
pub(super) const LONGEST_TAKEN_MS: u64 = 900_000;
/// How long a batch belongs to a process after its last sign of life.
const LEASE_MS: u64 = 60_000;
const HEARTBEAT: Duration = Duration::from_millis(LEASE_MS / 3);

/// Works on batches.
pub struct BatchWorker {
    pub(in crate::app) runner: PartRunner,
    pub(in crate::app) stores: BatchStores,
    pub(in crate::app) models: Arc<Models>,
    pub(in crate::app) announcer: Announcer,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) clock: Clock,
}

impl BatchWorker {
    /// Does the work that a message names, if it is to be done. `function_ends` is when the function is stopped.
    ///
    /// # Errors
    /// If a store fails. The message may be delivered again; else the sweeper sends another.
    pub async fn work(&self, work: &BatchWork, function_ends: Option<Timestamp>) -> Result<(), Error> {
        match work.part {
            Some(part) => {
                let part = PartKey { batch: work.key.clone(), part };
                Box::pin(self.runner.run_part(part, function_ends)).await
            }
            None => Box::pin(self.go_on(&work.key)).await,
        }
    }

    /// Takes the next step of a batch, unless another process does.
    async fn go_on(&self, key: &BatchKey) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(batch) = self.stores.batches.take(key, now, now.plus_ms(LEASE_MS)).await? else { return Ok(()) };
        let step = Box::pin(async {
            match batch.status {
                BatchStatus::Validating if batch.expires_at() <= now => {
                    self.end(&batch, BatchStatus::Expired, BatchEnd::default()).await
                }
                BatchStatus::Validating => self.check(&batch).await,
                BatchStatus::Cancelling if batch.parts == 0 => {
                    self.end(&batch, BatchStatus::Cancelled, BatchEnd::default()).await
                }
                BatchStatus::InProgress | BatchStatus::Cancelling if batch.parts_done < batch.parts => {
                    self.wake_parts(&batch).await
                }
                BatchStatus::InProgress | BatchStatus::Cancelling | BatchStatus::Finalizing => {
                    self.assemble(&batch).await
                }
                BatchStatus::Failed | BatchStatus::Completed | BatchStatus::Expired | BatchStatus::Cancelled => {
                    self.close(&batch).await
                }
            }
        });
        self.keep(&batch, step).await
    }

    /// Keeps the lease of a batch while a step goes on. If another process has taken the batch up, the step is left where it is.
    async fn keep(&self, batch: &Batch, step: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let mut step = std::pin::pin!(step);
        loop {
            tokio::select! {
                biased;
                done = &mut step => return done,
                () = tokio::time::sleep(HEARTBEAT) => {
                    match self.stores.batches.renew(batch, self.clock.now().plus_ms(LEASE_MS)).await {
                        Ok(WriteOutcome::Written) => {}
                        Ok(WriteOutcome::Refused) => return Ok(()),
                        Err(error) => tracing::warn!(error = %ErrorChain(&error), "lease of a batch not renewed yet"),
                    }
                }
            }
        }
    }

    /// Checks the file of a batch. Its lines run if each is a request; else the batch fails, and says what is wrong.
    async fn check(&self, batch: &Batch) -> Result<(), Error> {
        let checked = match self.read_file(batch).await? {
            Ok(checked) => checked,
            Err(errors) => {
                return self.end(batch, BatchStatus::Failed, BatchEnd { errors, ..BatchEnd::default() }).await;
            }
        };
        let (file, parts) = checked;
        if let Some(wrong) = self.wrong_model(batch, &file.model).await? {
            let errors = vec![error("model_not_found", wrong.to_string(), Some("body.model"))];
            return self.end(batch, BatchStatus::Failed, BatchEnd { errors, ..BatchEnd::default() }).await;
        }
        self.stores.results.put_index(&batch.key, &parts).await?;
        let started = self.stores.batches.start(batch, &file, self.clock.now()).await?.is_written();
        self.stores.batches.leave(batch).await.map(drop)?;
        if started {
            let batch = Batch { is_native: file.is_native, ..batch.clone() };
            for part in 0..parts_at_once(&batch).min(file.parts) {
                self.wake(&batch, Some(part), Duration::ZERO).await;
            }
        } else {
            // It was cancelled meanwhile. The message of the cancellation found it taken.
            self.wake(batch, None, Duration::ZERO).await;
        }
        Ok(())
    }

    /// Reads the file of a batch from its beginning to its end, in little memory.
    async fn read_file(&self, batch: &Batch) -> Result<Result<(CheckedFile, Vec<PartRange>), Vec<BatchError>>, Error> {
        let file_key = FileKey { project_id: batch.key.project_id.clone(), file_id: batch.input_file_id.clone() };
        let whole = |code, message: String| Ok(Err(vec![error(code, message, Some("input_file_id"))]));
        let Some(file) = self.stores.files.get(&file_key, self.clock.now()).await? else {
            return whole("file_not_found", "The input file was deleted before it was read.".to_owned());
        };
        if file.bytes == 0 {
            return whole("empty_file", "The file is empty.".to_owned());
        }
        if file.bytes > MAX_BATCH_BYTES {
            let message = format!("The file has {} bytes, expected at most {MAX_BATCH_BYTES}.", file.bytes);
            return whole("file_too_large", message);
        }
        let mut pieces = self.stores.files.read(&file, None).await?;
        let served = self.models.current().await.ok();
        let size_of = |model: &str| match &served {
            Some(served) if is_native(served, model, batch.endpoint) => PartSize::NATIVE,
            _ => PartSize::DIRECT,
        };
        let mut lines = Lines::from(0, 1, MAX_LINE_BYTES);
        let mut check = FileCheck::new(batch.endpoint, MAX_LINE_BYTES).with_sizes(Box::new(size_of));
        while let Some(piece) = pieces.next().await {
            lines.push(&piece?);
            while let Some(line) = lines.next() {
                check.take(&line);
                if check.is_hopeless() {
                    return Ok(check.finish());
                }
            }
            // Other batches of this process go on meanwhile.
            tokio::task::yield_now().await;
        }
        if let Some(line) = lines.last() {
            check.take(&line);
        }
        Ok(check.finish())
    }

    /// Why the project or the key of a batch cannot call its model.
    async fn wrong_model(&self, batch: &Batch, model: &str) -> Result<Option<Error>, Error> {
        let project_id = &batch.key.project_id;
        let (project, key) = tokio::try_join!(
            self.stores.projects.get(project_id),
            self.stores.api_keys.by_id(project_id, &batch.api_key_id)
        )?;
        let (Some(project), Some(key)) = (project, key) else {
            return Ok(Some(Error::not_found("API key", &batch.api_key_id)));
        };
        let caller = Caller { project, api_key_id: key.id.clone(), key: key.limits(), rights: key.rights.clone() };
        if let Err(forbidden) = caller.check_model(model) {
            return Ok(Some(forbidden.into()));
        }
        match self.models.current().await {
            Ok(served) => match find_model(&served, model, batch.endpoint.called()) {
                // The operator's mistake must not end a batch that was accepted.
                Ok(_) | Err(Error::WrongModel { .. }) => Ok(None),
                Err(error) => Ok(Some(error)),
            },
            Err(error) => Err(error),
        }
    }

    /// Wakes workers for parts that nobody runs: those whose worker died or whose message was lost, then the next ones.
    async fn wake_parts(&self, batch: &Batch) -> Result<(), Error> {
        let begun = self.stores.parts.list(&batch.key).await?;
        let now = self.clock.now();
        let open = begun.iter().filter(|part| !part.is_done);
        let is_cancelled = batch.status == BatchStatus::Cancelling;
        let is_taken =
            |part: &&PartState| now.is_before(part.taken_until, LONGEST_TAKEN_MS) && !(is_cancelled && part.waits);
        let (taken, free): (Vec<&PartState>, Vec<&PartState>) = open.partition(is_taken);
        let next = begun.last().map_or(0, |last| last.part + 1);
        let room = usize::try_from(parts_at_once(batch)).unwrap_or(usize::MAX).saturating_sub(taken.len());
        let missing = (0..next).filter(|part| begun.iter().all(|state| state.part != *part));
        let to_wake = free.iter().map(|part| part.part).chain(missing).chain(next..batch.parts).take(room);
        for part in to_wake {
            self.wake(batch, Some(part), Duration::ZERO).await;
        }
        self.stores.batches.leave(batch).await.map(drop)?;
        Ok(())
    }

    pub(super) async fn wake(&self, batch: &Batch, part: Option<u32>, delay: Duration) {
        self.queues.wake_for_batch(batch, part, delay).await;
    }

    /// Ends a batch, then does the work that follows.
    pub(super) async fn end(&self, batch: &Batch, status: BatchStatus, end: BatchEnd) -> Result<(), Error> {
        let now = self.clock.now();
        if self.stores.batches.end(batch, status, &end, now).await?.is_written() {
            let mut ended = batch.clone();
            ended.status = status;
            ended.times.ended_at = Some(now);
            return self.close(&ended).await;
        }
        // It was cancelled meanwhile: the next step is another.
        self.stores.batches.leave(batch).await.map(drop)?;
        self.wake(batch, None, Duration::ZERO).await;
        Ok(())
    }

    /// Announces the end of a batch, and deletes what it needed while it ran.
    async fn close(&self, batch: &Batch) -> Result<(), Error> {
        let event_type = match batch.status {
            BatchStatus::Completed => EventType::BatchCompleted,
            BatchStatus::Failed => EventType::BatchFailed,
            BatchStatus::Expired => EventType::BatchExpired,
            _ => EventType::BatchCancelled,
        };
        let ended_at = batch.times.ended_at.unwrap_or(batch.created_at);
        let event = WebhookEvent::new(event_type, &batch.key.batch_id, ended_at);
        let traceparent = traceparent_after(batch.traceparent.as_deref());
        let project_id = &batch.key.project_id;
        self.announcer.announce(project_id, &event, traceparent.as_deref(), batch.kept_seconds).await?;
        self.stores.results.delete_all(&batch.key).await?;
        self.stores.parts.delete_all(&batch.key).await?;
        self.stores.batches.close(batch, Some(ended_at.seconds() + batch.kept_seconds)).await.map(drop)?;
        Ok(())
    }
}

fn parts_at_once(batch: &Batch) -> u32 {
    if batch.is_native { NATIVE_PARTS_AT_ONCE } else { PARTS_AT_ONCE }
}

/// Wakes the worker that goes on after a part has ended: for the part whose turn it is, or for the whole batch.
pub(super) async fn wake_next(queues: &WorkerQueues, batch: &Batch, ended: u32) {
    if batch.parts_done >= batch.parts {
        return queues.wake_for_batch(batch, None, Duration::ZERO).await;
    }
    let next = ended + parts_at_once(batch);
    if next < batch.parts {
        queues.wake_for_batch(batch, Some(next), Duration::ZERO).await;
    }
}
