//! The worker of vector stores: it ingests files, and deletes the chunks of those that were detached.
//!
//! A message names a store, or a file in one. Any message may come twice, late or never: what is to be done is decided by the record of
//! the file. A worker that dies repeats at most the chunks that were being embedded: those that are stored are not embedded again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::embed::{Embedder, Unusable};
use crate::app::error::{Error, RenderedError};
use crate::app::generation::{LOST_AFTER_MS, QUIET_AFTER_MS};
use crate::app::pipeline::{CallOptions, RunOptions, TimeLimit};
use crate::app::storage::Storage;
use crate::app::worker_queues::WorkerQueues;
use crate::data::{
    ApiKeys, ChunkRecords, DueStore, FileRecords, IngestEnd, ListQuery, MAX_DELAY, NewChunk, ProjectRecords,
    StoreFileRecords, VectorStoreRecords, WriteOutcome,
};
use crate::model::clock::{Clock, Timestamp};
use crate::model::document::{DocumentReader, Passage};
use crate::model::error_chain::ErrorChain;
use crate::model::id::Fingerprint;
use crate::model::meter::Limit;
use crate::model::project::Caller;
use crate::model::provider::Failure;
use crate::model::storage::Stored;
use crate::model::vector_store::{
    FileProblem, FileStatus, IngestWork, ProblemCode, StoreFile, StoreFileKey, VectorStoreKey, lexical_vector,
};

/// Works on vector stores.
pub struct IngestWorker {
    pub(in crate::app) stores: VectorStoreRecords,
    pub(in crate::app) records: StoreFileRecords,
    pub(in crate::app) chunks: ChunkRecords,
    pub(in crate::app) files: FileRecords,
    pub(in crate::app) projects: ProjectRecords,
    pub(in crate::app) api_keys: ApiKeys,
    pub(in crate::app) storage: Storage,
    pub(in crate::app) embedder: Embedder,
    pub(in crate::app) reader: Arc<dyn DocumentReader>,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) clock: Clock,
    pub(in crate::app) render: fn(&Error) -> RenderedError,
}

/// The most bytes of a file that is ingested. The worker has it in memory, beside its text and its vectors.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most chunks of a file.
const MAX_CHUNKS: usize = 50_000;
/// How long the text of a file may take to be read.
const READING: Duration = Duration::from_secs(120);
/// Chunks, and bytes of text, that are embedded by one call.
const CHUNKS_PER_CALL: usize = 32;
const BYTES_PER_CALL: usize = 96 * 1024;
/// How long a file belongs to a process after its last sign of life.
const LEASE_MS: u64 = 60_000;
const HEARTBEAT: Duration = Duration::from_millis(LEASE_MS / 3);
/// The longest call of an embedding model for which a worker still begins one.
const LONGEST_CALL: Duration = Duration::from_secs(60);
/// How long an ingestion is tried while the provider or the limits of the project do not let it go on.
const TRIED_FOR_MS: u64 = 6 * 3_600_000;
/// The shortest wait before it goes on.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Why an ingestion did not end.
enum Stopped {
    /// The file cannot be ingested.
    Failed(FileProblem),
    /// It goes on later.
    Later(Duration),
    /// A store failed, or the process is needed no longer.
    Error(Error),
    /// Another process works on the file, or it was detached.
    Lost,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<crate::data::StoreError> for Stopped {
    fn from(error: crate::data::StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl IngestWorker {
    /// Does the work that a message names, if it is to be done. `function_ends` is when the function is stopped.
    ///
    /// # Errors
    /// If a store fails. The message may be delivered again; else the sweeper sends another.
    pub async fn work(&self, work: &IngestWork, function_ends: Option<Timestamp>) -> Result<(), Error> {
        match &work.file_id {
            Some(file_id) => {
                let key = StoreFileKey { store: work.key.clone(), file_id: file_id.clone() };
                Box::pin(self.work_on_file(&key, function_ends)).await
            }
            None => Box::pin(self.empty(&work.key, function_ends)).await,
        }
    }

    /// Does what is left to do for a file, unless another process does.
    async fn work_on_file(&self, key: &StoreFileKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(file) = self.records.take(key, now, now.plus_ms(LEASE_MS)).await? else { return Ok(()) };
        if file.is_detached() {
            return self.erase(&file).await;
        }
        if file.status != FileStatus::InProgress {
            return self.tidy(&file, file.live).await;
        }
        let ingestion = Box::pin(self.ingest(&file, function_ends));
        let end = match self.keep(&file, ingestion).await {
            Ok(end) => end,
            Err(Stopped::Failed(problem)) => IngestEnd::Failed(problem),
            Err(Stopped::Later(wait)) => return self.go_on_later(&file, wait).await,
            Err(Stopped::Lost) => return Ok(()),
            Err(Stopped::Error(error)) => return self.end_after_an_error(&file, error).await,
        };
        self.end(&file, &end).await
    }

    /// Ends an ingestion. If the file was detached meanwhile, or its store is gone, another message leads to its erasure.
    async fn end(&self, file: &StoreFile, end: &IngestEnd) -> Result<(), Error> {
        if !self.records.end(file, end).await?.is_written() {
            return Ok(());
        }
        let live = if matches!(end, IngestEnd::Completed { .. }) { Some(file.generation) } else { file.live };
        self.tidy(file, live).await
    }

    /// Returns an error that may be over soon, so that the message comes again. Any other ends the ingestion: each try pays for the chunks
    /// that were embedded and not stored.
    async fn end_after_an_error(&self, file: &StoreFile, error: Error) -> Result<(), Error> {
        let may_succeed = matches!(error, Error::Unavailable { .. } | Error::Contended(_));
        if may_succeed && file.begun_at.until(self.clock.now()) < TRIED_FOR_MS {
            return Err(error);
        }
        tracing::error!(error = %ErrorChain(&error), "file of a vector store given up");
        let problem = server_error("The deployment could not store its chunks. Tell the operator: the log of the function `ingest` names the cause.".to_owned());
        self.end(file, &IngestEnd::Failed(problem)).await
    }

    /// Deletes the chunks of a file that are not searched: those of other generations than the live one, up to the file's newest.
    async fn tidy(&self, file: &StoreFile, live: Option<u32>) -> Result<(), Error> {
        self.chunks.delete(&file.key, file.generation, live).await?;
        // A worker of an earlier generation may still write for some time.
        let quiet_at = file.begun_at.plus_ms(QUIET_AFTER_MS);
        if file.generation > 1 && self.clock.now().is_before(quiet_at, QUIET_AFTER_MS) {
            self.records.leave(file, quiet_at).await.map(drop)?;
        } else {
            self.records.clear_due(file).await.map(drop)?;
        }
        Ok(())
    }

    /// Deletes the chunks of a detached file; then its mark, when no other process can write any more.
    async fn erase(&self, file: &StoreFile) -> Result<(), Error> {
        self.chunks.delete(&file.key, file.generation, None).await?;
        let quiet_at = file.detached_at.unwrap_or_default().plus_ms(QUIET_AFTER_MS);
        // A mark from before the clock was set back is older than it looks.
        if self.clock.now().is_before(quiet_at, QUIET_AFTER_MS) {
            self.records.leave(file, quiet_at).await.map(drop)?;
        } else {
            self.records.remove(file).await.map(drop)?;
        }
        Ok(())
    }

    async fn go_on_later(&self, file: &StoreFile, wait: Duration) -> Result<(), Error> {
        let wait = wait.clamp(SHORTEST_WAIT, MAX_DELAY);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(LOST_AFTER_MS);
        let due_at = self.clock.now().plus_ms(wait_ms).plus_ms(LOST_AFTER_MS);
        if self.records.leave(file, due_at).await?.is_written() {
            self.queues.wake_for_store_file(file, wait).await;
        }
        Ok(())
    }

    /// Keeps the lease of a file while its ingestion goes on. If another process has taken it up, the ingestion is left where it is.
    async fn keep<T>(&self, file: &StoreFile, work: impl Future<Output = Result<T, Stopped>>) -> Result<T, Stopped> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let lease_until = self.clock.now().plus_ms(LEASE_MS);
                    match self.records.renew(file, lease_until, lease_until.plus_ms(LOST_AFTER_MS)).await {
                        Ok(WriteOutcome::Written) => {}
                        Ok(WriteOutcome::Refused) => return Err(Stopped::Lost),
                        Err(error) => tracing::warn!(error = %ErrorChain(&error), "lease of a file not renewed yet"),
                    }
                }
            }
        }
    }

    /// Ingests a file: its text is read, cut, embedded and stored.
    async fn ingest(&self, file: &StoreFile, function_ends: Option<Timestamp>) -> Result<IngestEnd, Stopped> {
        let Some(store) = self.stores.get(&file.key.store).await? else { return Err(Stopped::Lost) };
        let caller = self.caller(file).await?;
        let passages = self.passages(file).await?;
        let usage_bytes = passages.iter().map(|passage| passage.text.len() as u64).sum();
        let more = Stored { bytes: usage_bytes, objects: 1 };
        if let Err(Error::StorageFull(full)) = self.storage.require_room(&caller.project, more).await {
            return Err(Stopped::Failed(server_error(full.to_string())));
        }
        let chunks = u32::try_from(passages.len()).unwrap_or(u32::MAX);
        let model = &store.embedding_model;
        let stored = self.chunks.hashes(&file.key, file.generation).await?;
        let missing: Vec<(u32, Passage, String)> = (0..)
            .zip(passages)
            .map(|(n, passage)| {
                let hash = Fingerprint::of([model.as_bytes(), in_context(&passage).as_bytes()]).as_str().to_owned();
                (n, passage, hash)
            })
            .filter(|(n, _, hash)| stored.get(n) != Some(hash))
            .collect();
        for some in in_calls(missing) {
            let is_late = |ends| self.clock.now() > TimeLimit::last_begin(LONGEST_CALL, ends);
            if function_ends.is_some_and(is_late) {
                return Err(Stopped::Later(Duration::ZERO));
            }
            self.embed(file, &caller, model, some, function_ends).await?;
        }
        Ok(IngestEnd::Completed { chunks, usage_bytes })
    }

    async fn embed(
        &self,
        file: &StoreFile,
        caller: &Caller,
        model: &str,
        chunks: Vec<(u32, Passage, String)>,
        function_ends: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        let options = CallOptions {
            idempotency_key: None,
            retry_count: 0,
            deadline: function_ends,
            run: RunOptions::default(),
            headers: Vec::new(),
            render_error: self.render,
        };
        let texts: Vec<String> = chunks.iter().map(|(_, passage, _)| in_context(passage)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedded = self.embedder.embed(caller, model, &texts, &options).await;
        let embedded = embedded.map_err(|error| self.refused(file, error))?;
        let chunks = chunks.into_iter().zip(embedded.vectors).map(|((n, passage, hash), embedding)| {
            let Passage { start, text, .. } = passage;
            let words = lexical_vector(&text);
            NewChunk { n, text, start, hash, embedding, words }
        });
        Ok(self.chunks.put(&file.key, file.generation, chunks.collect()).await?)
    }

    /// What follows from a call that was not answered.
    fn refused(&self, file: &StoreFile, error: Error) -> Stopped {
        let age_ms = file.begun_at.until(self.clock.now());
        let by_age = Duration::from_millis(age_ms);
        let wait = match &error {
            // A spent budget is for the caller to see. A limit that is too low for one call never lets it pass.
            Error::Refused(refusal) if !matches!(refusal.limit, Limit::Budget { .. } | Limit::Ended) => {
                refusal.retry_after
            }
            Error::Provider { source, .. } if source.is_retryable() => Some(by_age),
            Error::Provider { source: Failure::CircuitOpen { .. } | Failure::NotSetUp { .. }, .. } => Some(by_age),
            Error::Unavailable { .. } | Error::Contended(_) | Error::NoModels(_) => Some(SHORTEST_WAIT),
            _ => None,
        };
        match wait.filter(|_| age_ms < TRIED_FOR_MS) {
            Some(wait) => {
                tracing::warn!(error = %ErrorChain(&error), wait_ms = wait.as_millis(), "ingestion goes on later");
                Stopped::Later(wait)
            }
            None => Stopped::Failed(server_error(format!("The text could not be embedded: {}", message_of(&error)))),
        }
    }

    /// Who pays for the ingestion.
    async fn caller(&self, file: &StoreFile) -> Result<Caller, Stopped> {
        let project_id = &file.key.store.project_id;
        let (project, key) =
            tokio::try_join!(self.projects.get(project_id), self.api_keys.by_id(project_id, &file.api_key_id))?;
        match (project, key) {
            (Some(project), Some(key)) if project.archived_at.is_none() => {
                Ok(Caller { project, api_key_id: key.id.clone(), key: key.limits(), rights: key.rights.clone() })
            }
            _ => Err(Stopped::Failed(server_error(
                "The API key that attached the file was deleted before it was ingested.".to_owned(),
            ))),
        }
    }

    /// The passages of the text of a file.
    async fn passages(&self, file: &StoreFile) -> Result<Vec<Passage>, Stopped> {
        let invalid = |message: String| Stopped::Failed(FileProblem { code: ProblemCode::InvalidFile, message });
        let gone = || invalid("The file was deleted before it was ingested.".to_owned());
        let found = self.files.get(&file.key.file(), self.clock.now()).await?.ok_or_else(gone)?;
        if found.bytes > MAX_BYTES {
            let message =
                format!("The file has {} bytes; files of at most {} MB can be searched.", found.bytes, MAX_BYTES >> 20);
            return Err(invalid(message));
        }
        let content: Vec<Bytes> = self.files.read(&found, None).await?.try_collect().await?;
        let read = self.reader.passages(found.filename, content.concat(), file.chunking, READING).await;
        let passages = read.map_err(Stopped::Failed)?;
        if passages.len() > MAX_CHUNKS {
            return Err(invalid(format!(
                "The file has {} chunks, expected at most {MAX_CHUNKS}. Split it.",
                passages.len()
            )));
        }
        Ok(passages)
    }

    /// Detaches the files of a store that was deleted or has expired.
    async fn empty(&self, key: &VectorStoreKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let is_deleted = match self.stores.left_to_do_for(key, self.clock.now()).await? {
            DueStore::Empty { is_deleted } => is_deleted,
            DueStore::Later(_) | DueStore::Kept | DueStore::Nothing => return Ok(()),
        };
        // A search or a change may have come first: then it is not to be emptied.
        if !is_deleted && !self.stores.expire(key, self.clock.now()).await?.is_written() {
            return Ok(());
        }
        let mut query = ListQuery { oldest_first: true, limit: 100, ..ListQuery::default() };
        loop {
            // The sweeper wakes another worker if this one dies.
            self.stores.keep_due(key, self.clock.now().plus_ms(LOST_AFTER_MS)).await?;
            let files = self.records.list(key, None, &query).await?.items;
            for file in &files {
                self.records.detach(&file.key, self.clock.now()).await.map(drop)?;
                self.queues.wake_for_store_file(file, Duration::ZERO).await;
            }
            let Some(last) = files.last() else { break };
            query.after = Some(last.key.file_id.clone());
            if function_ends.is_some_and(|ends| self.clock.now() > TimeLimit::last_begin(LONGEST_CALL, ends)) {
                self.queues.wake_for_store(key).await;
                return Ok(());
            }
        }
        if is_deleted { Ok(self.stores.remove(key).await?) } else { Ok(self.stores.clear_due(key).await?) }
    }
}

/// What is embedded for a passage.
fn in_context(Passage { text, context, .. }: &Passage) -> String {
    if context.is_empty() { text.clone() } else { format!("{context}\n\n{text}") }
}

/// Chunks that are embedded together.
fn in_calls(chunks: Vec<(u32, Passage, String)>) -> Vec<Vec<(u32, Passage, String)>> {
    let mut calls: Vec<Vec<(u32, Passage, String)>> = Vec::new();
    let mut bytes = 0;
    for chunk in chunks {
        let length = chunk.1.text.len();
        match calls.last_mut() {
            Some(call) if call.len() < CHUNKS_PER_CALL && bytes + length <= BYTES_PER_CALL => {
                bytes += length;
                call.push(chunk);
            }
            _ => {
                bytes = length;
                calls.push(vec![chunk]);
            }
        }
    }
    calls
}

fn server_error(message: String) -> FileProblem {
    FileProblem { code: ProblemCode::ServerError, message }
}

/// What a client may be told of an error.
fn message_of(error: &Error) -> String {
    match (error, error.no_answer()) {
        (_, Some(message)) => message,
        (Error::Internal { source, .. }, None) if source.is::<Unusable>() => format!("{source}."),
        (Error::Internal { .. }, None) => "the server had an error. Attach the file again.".to_owned(),
        (error, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_as_many_chunks_as_fit() {
        let chunk = |n: u32, bytes: usize| {
            (n, Passage { start: 0, text: "x".repeat(bytes), context: String::new() }, String::new())
        };
        let sizes = |chunks: Vec<_>| in_calls(chunks).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes((0..70).map(|n| chunk(n, 10)).collect()), [32, 32, 6]);
        assert_eq!(sizes((0..3).map(|n| chunk(n, BYTES_PER_CALL / 2)).collect()), [2, 1]);
        assert_eq!(sizes(vec![chunk(0, BYTES_PER_CALL * 2), chunk(1, 1)]), [1, 1]);
        assert_eq!(sizes(Vec::new()), [0; 0]);
    }
}
