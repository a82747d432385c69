//! What a batch has in the bucket while it runs: the index of its parts, and the results of its lines.
//!
//! Results are objects of lines of JSON, named by part, fence and number, so that they sort in the order in which they were written.
//! A line can be in two of them if its first run lost its part. The later fence counts: a worker that lost its part may still write, and
//! what it writes has an earlier fence than the results that the part was completed with.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::bucket::{Bucket, Shelf};
use super::super::error::{StoreError, Unusable};
use super::parts::PartKey;
use crate::model::batch::{BatchKey, PartRange};

/// What is known of a line that has a result, without the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSummary {
    /// The number of the line in the file, counted from 1.
    pub line: u64,
    /// Whether it goes into the file of results; else into that of errors.
    pub ok: bool,
    /// It was not run, because the time of the batch was over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub reasoning: u64,
    /// In micro-dollars.
    pub cost: u64,
    /// What was reserved for it, in micro-dollars, with what its earlier tries cost.
    pub held: u64,
}

/// The result of a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineResult {
    pub summary: LineSummary,
    /// The line of the file of results or errors.
    pub row: Box<RawValue>,
}

impl LineResult {
    /// The result of a line that was not run in time.
    #[must_use]
    pub fn expired(self) -> Self {
        Self { summary: LineSummary { expired: true, ..self.summary }, row: self.row }
    }
}

/// An object with results of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultObject {
    /// Of the wave that stored it.
    pub fence: u64,
    key: String,
}

/// A result whose row is not read.
#[derive(Deserialize)]
struct WithoutRow {
    summary: LineSummary,
}

/// Results of all batches that run.
#[derive(Clone, Debug)]
pub struct BatchResults(pub(in crate::data) Bucket);

impl BatchResults {
    pub async fn put_index(&self, batch: &BatchKey, parts: &[PartRange]) -> Result<(), StoreError> {
        let body = serde_json::to_vec(parts).map_err(StoreError::bucket("write the index"))?;
        self.0.put_at(&index(batch), body.into()).await
    }

    pub async fn index(&self, batch: &BatchKey) -> Result<Vec<PartRange>, StoreError> {
        let body = self.0.get(&index(batch)).await?;
        serde_json::from_slice(&body).map_err(StoreError::bucket("read the index"))
    }

    /// Stores results of a wave. `number` counts the objects of the wave.
    pub async fn put(&self, part: &PartKey, fence: u64, number: u32, results: &[LineResult]) -> Result<(), StoreError> {
        let mut body = BytesMut::new();
        for result in results {
            serde_json::to_writer((&mut body).writer(), result).map_err(StoreError::bucket("write the results"))?;
            body.put_u8(b'\n');
        }
        self.0.put_at(&format!("{}{fence:010}-{number:04}", prefix(part)), body.freeze()).await
    }

    /// Returns the objects with results of a part, in the order of their fences.
    pub async fn objects(&self, part: &PartKey) -> Result<Vec<ResultObject>, StoreError> {
        let keys = self.0.list(&prefix(part)).await?;
        let objects = keys.into_iter().map(|key| {
            let fence = key.rsplit('/').next().and_then(|name| name.split('-').next()?.parse().ok());
            Ok(ResultObject { fence: fence.ok_or_else(|| damaged(&key))?, key })
        });
        objects.collect()
    }

    /// Returns the results of an object.
    pub async fn read(&self, object: &ResultObject) -> Result<Vec<LineResult>, StoreError> {
        self.parse(object).await
    }

    /// Returns what is known of the results of a part with the fence of their wave, in the order of the fences. Only the rows of one
    /// object are in memory at a time.
    pub async fn summaries(&self, part: &PartKey) -> Result<Vec<(u64, LineSummary)>, StoreError> {
        let mut found = Vec::new();
        for object in self.objects(part).await? {
            let read: Vec<WithoutRow> = self.parse(&object).await?;
            found.extend(read.into_iter().map(|result| (object.fence, result.summary)));
        }
        Ok(found)
    }

    async fn parse<T: DeserializeOwned>(&self, object: &ResultObject) -> Result<Vec<T>, StoreError> {
        let body = self.0.get(&object.key).await?;
        let results = lines(&body).map(serde_json::from_slice).collect::<Result<_, _>>();
        results.map_err(StoreError::bucket("read the results"))
    }

    /// Deletes what a batch has here.
    pub async fn delete_all(&self, batch: &BatchKey) -> Result<(), StoreError> {
        self.0.delete_folder(&[Shelf::Permanent], &folder(batch)).await
    }
}

fn lines(body: &Bytes) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn folder(BatchKey { project_id, batch_id }: &BatchKey) -> String {
    format!("{project_id}/batches/{batch_id}")
}

fn index(batch: &BatchKey) -> String {
    Shelf::Permanent.key_of(&folder(batch), "index")
}

fn prefix(PartKey { batch, part }: &PartKey) -> String {
    format!("{}/", Shelf::Permanent.key_of(&folder(batch), &format!("{part:06}")))
}

fn damaged(key: &str) -> StoreError {
    StoreError::bucket("list the results")(Unusable(format!("the name of {key} is none of results")))
}
