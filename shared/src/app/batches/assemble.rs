//! Writing the files of results and errors, when each line has its result.

use std::collections::HashSet;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};

use super::worker::BatchWorker;
use crate::app::error::Error;
use crate::app::files::due_of;
use crate::app::generation::{LOST_AFTER_MS, QUIET_AFTER_MS};
use crate::data::{BatchEnd, Deletion, FileWriter, LineResult, PartKey};
use crate::model::batch::{Batch, BatchStatus};
use crate::model::clock::Timestamp;
use crate::model::file::{File, FileKey, Purpose};
use crate::model::id;
use crate::model::media_type;

impl BatchWorker {
    /// Writes the files of a batch and ends it. Its memory is that of one object with results, and of what the bucket takes at once.
    pub(super) async fn assemble(&self, batch: &Batch) -> Result<(), Error> {
        let now = self.clock.now();
        let status = self.final_status(batch);
        let before = [batch.output_file_id.as_ref(), batch.error_file_id.as_ref()];
        let mut found = [None, None];
        for (found, file_id) in found.iter_mut().zip(before) {
            if let Some(file_id) = file_id.filter(|file_id| !file_id.is_empty()) {
                *found = self.file_of_dead(batch, file_id, now).await?;
            }
        }
        let new_id = || id::new_ordered("file-", now);
        let [output, error] = found.map(|file| file.map_or_else(new_id, |file| file.key.file_id));
        let files = BatchEnd {
            output_file_id: Some(output.clone()),
            error_file_id: Some(error.clone()),
            ..BatchEnd::default()
        };
        if !self.stores.batches.finalize(batch, &files, now).await?.is_written() {
            self.stores.batches.leave(batch).await.map(drop)?;
            self.wake(batch, None, Duration::ZERO).await;
            return Ok(());
        }
        let mut taken = batch.clone();
        if taken.status == BatchStatus::InProgress {
            taken.status = BatchStatus::Finalizing;
        }
        let mut writers = [
            ResultFile::new(self.key_of(batch, &output), "output"),
            ResultFile::new(self.key_of(batch, &error), "error"),
        ];
        for part in 0..batch.parts {
            self.write_part(&PartKey { batch: batch.key.clone(), part }, &mut writers).await?;
        }
        let mut ids = [None, None];
        for (id, writer) in ids.iter_mut().zip(writers) {
            *id = writer.complete(self, batch).await?;
        }
        let [output_file_id, error_file_id] = ids;
        self.end(&taken, status, BatchEnd { output_file_id, error_file_id, ..BatchEnd::default() }).await
    }

    fn final_status(&self, batch: &Batch) -> BatchStatus {
        match batch.status {
            BatchStatus::Cancelling => BatchStatus::Cancelled,
            _ if batch.counts.expired > 0 => BatchStatus::Expired,
            _ => BatchStatus::Completed,
        }
    }

    /// The file that a dead process had begun, if it is complete. If it is not, it can no longer be completed.
    async fn file_of_dead(&self, batch: &Batch, file_id: &str, now: Timestamp) -> Result<Option<File>, Error> {
        let key = self.key_of(batch, file_id);
        if let Some(file) = self.stores.files.get(&key, now).await? {
            return Ok(Some(file));
        }
        // A refusal: it was never begun.
        self.stores.files.delete(&key, Deletion::Discarded, now, now.plus_ms(LOST_AFTER_MS)).await.map(drop)?;
        Ok(None)
    }

    fn key_of(&self, batch: &Batch, file_id: &str) -> FileKey {
        FileKey { project_id: batch.key.project_id.clone(), file_id: file_id.to_owned() }
    }

    /// Writes the results of a part, each line once: that of the latest fence.
    async fn write_part(&self, part: &PartKey, writers: &mut [ResultFile; 2]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for object in self.stores.results.objects(part).await?.iter().rev() {
            for result in self.stores.results.read(object).await? {
                if seen.insert(result.summary.line) {
                    writers[usize::from(!result.summary.ok)].write(self, &result).await?;
                }
            }
        }
        Ok(())
    }
}

/// A file of results while it is written. It begins with its first row.
struct ResultFile {
    key: FileKey,
    name: &'static str,
    writer: Option<FileWriter>,
    is_complete: bool,
    row: BytesMut,
}

impl ResultFile {
    fn new(key: FileKey, name: &'static str) -> Self {
        Self { key, name, writer: None, is_complete: false, row: BytesMut::new() }
    }

    async fn write(&mut self, worker: &BatchWorker, result: &LineResult) -> Result<(), Error> {
        if self.is_complete {
            return Ok(());
        }
        if self.writer.is_none() {
            let now = worker.clock.now();
            // A process that died had completed it.
            if worker.stores.files.get(&self.key, now).await?.is_some() {
                self.is_complete = true;
                return Ok(());
            }
            worker.stores.files.begin(&self.key, now.plus_ms(QUIET_AFTER_MS)).await?;
            self.writer = Some(worker.stores.files.writer(&self.key));
        }
        self.row.clear();
        self.row.put_slice(result.row.get().as_bytes());
        self.row.put_u8(b'\n');
        match &mut self.writer {
            Some(writer) => Ok(writer.write(&self.row).await?),
            None => Ok(()),
        }
    }

    /// Completes the file. `None`: it has no rows.
    async fn complete(self, worker: &BatchWorker, batch: &Batch) -> Result<Option<String>, Error> {
        let file_id = self.key.file_id.clone();
        let Some(writer) = self.writer else { return Ok(self.is_complete.then_some(file_id)) };
        let content = writer.finish().await?;
        let now = worker.clock.now();
        let seconds =
            batch.output_seconds.or(Purpose::BatchOutput.usual_seconds()).unwrap_or(u64::MAX).min(batch.kept_seconds);
        let expires_at = now.seconds() + seconds;
        let file = File {
            key: self.key,
            filename: format!("{}_{}.jsonl", batch.key.batch_id, self.name),
            purpose: Purpose::BatchOutput,
            media_type: media_type::TEXT.to_owned(),
            bytes: content.bytes,
            sha256: content.sha256,
            created_at: now.seconds(),
            expires_at: Some(expires_at),
        };
        let due_at = due_of(Timestamp(expires_at * 1_000), now);
        if worker.stores.files.complete(&file, Some(due_at)).await?.is_written() {
            return Ok(Some(file_id));
        }
        worker.stores.files.delete_content(&file.key).await?;
        Err(Error::Unavailable { action: "complete the file of results", source: "it was given up meanwhile".into() })
    }
}
