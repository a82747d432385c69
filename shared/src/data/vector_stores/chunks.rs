//! The chunks of files, with the vectors that the table's index searches.
//!
//! A chunk is an item with its text and its embedding, beside an item with its lexical vector. The index follows the table with a delay
//! of moments, also after a deletion: what a search finds has to be looked up.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, insert, number, text};
use crate::data::keys::{self, Key};
use crate::data::table::{ItemStream, MAX_BATCH, Table};
use crate::model::backoff::Backoff;
use crate::model::vector_store::{StoreFileKey, VectorStoreKey};

/// The chunks of all files in all vector stores.
#[derive(Clone, Debug)]
pub struct ChunkRecords(pub(in crate::data) Table);

/// The key of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    pub file: StoreFileKey,
    pub generation: u32,
    /// In the order of the text, from 0.
    pub n: u32,
}

/// A chunk that is to be stored.
#[derive(Debug, Clone)]
pub struct NewChunk {
    pub n: u32,
    pub text: String,
    /// The place of its first byte in the text of the file.
    pub start: u64,
    /// Of its text and of what it was embedded with: a chunk with the same one need not be embedded again.
    pub hash: String,
    /// Only its direction counts.
    pub embedding: Vec<i16>,
    /// `None`: the chunk has no words.
    pub words: Option<Vec<i8>>,
}

/// A chunk as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub key: ChunkKey,
    pub text: String,
    /// The place of its first byte in the text of the file.
    pub start: u64,
}

/// A chunk that a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub key: ChunkKey,
    /// The cosine of the angle between the vectors, -1 to 1.
    pub similarity: f64,
}

/// The name of the table's index.
const INDEX: &str = "vec";
/// The most results of one search of the index: DynamoDB's limit.
const MAX_FOUND: usize = 100;
/// Writes and deletions at the same time.
const AT_ONCE: usize = 16;
/// Times that a write is tried while the partition is throttled, beside the SDK's own tries.
const MAX_PUTS: u32 = 6;
const THROTTLED: Backoff = Backoff::new(200, 5_000);
/// The vectors that are compared with each other, as their scopes name them.
const BY_MEANING: &str = "M";
const BY_WORDS: &str = "W";

impl ChunkRecords {
    /// Stores chunks of a generation of a file. Storing one again changes nothing.
    pub async fn put(&self, file: &StoreFileKey, generation: u32, chunks: Vec<NewChunk>) -> Result<(), StoreError> {
        let items: Vec<Item> = chunks.into_iter().flat_map(|chunk| items(file, generation, chunk)).collect();
        for some in items.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|item| self.put_item(item))).await?;
        }
        Ok(())
    }

    /// All chunks of a file are in one partition, which takes 1,000 write units in a second: its throttling is waited for, because the
    /// embeddings were paid for.
    async fn put_item(&self, item: &Item) -> Result<(), StoreError> {
        for tried in 0..MAX_PUTS {
            match self.0.put(item.clone()).await {
                Err(error) if error.is_retryable() => THROTTLED.wait(tried).await,
                other => return other,
            }
        }
        self.0.put(item.clone()).await
    }

    /// The hashes of the chunks of a generation that are stored with all their vectors, by their numbers.
    pub async fn hashes(&self, file: &StoreFileKey, generation: u32) -> Result<HashMap<u32, String>, StoreError> {
        let mut found = self.read_generation(file, generation, "pk, sk, content_hash");
        let (mut hashes, mut with_words) = (HashMap::new(), Vec::new());
        while let Some(item) = found.next().await? {
            let Some(key) = read_key(&item) else { continue };
            match Reader(&item).maybe_text("content_hash") {
                Some(hash) => drop(hashes.insert(key.n, hash)),
                None => with_words.push(key.n),
            }
        }
        // The item with the words is written beside the chunk. If it is missing, the process may have died between them.
        hashes.retain(|n, _| with_words.contains(n));
        Ok(hashes)
    }

    /// Finds the chunks of a store whose meaning is nearest, up to 100.
    pub async fn search_meaning(
        &self,
        store: &VectorStoreKey,
        embedding: &[i16],
        count: usize,
    ) -> Result<Vec<Found>, StoreError> {
        self.search(keys::vector_scope(store, BY_MEANING), embedding.iter().map(number).collect(), count).await
    }

    /// Finds the chunks of a store whose words are nearest, up to 100.
    pub async fn search_words(
        &self,
        store: &VectorStoreKey,
        words: &[i8],
        count: usize,
    ) -> Result<Vec<Found>, StoreError> {
        self.search(keys::vector_scope(store, BY_WORDS), words.iter().map(number).collect(), count).await
    }

    async fn search(&self, scope: String, vector: Vec<AttributeValue>, count: usize) -> Result<Vec<Found>, StoreError> {
        let request = self
            .0
            .client()
            .search_vectors()
            .table_name(self.0.name())
            .index_name(INDEX)
            .set_search_vector(Some(vector))
            .search_condition_expression("vec_scope = :scope")
            .expression_attribute_values(":scope", text(scope))
            .top_k(i32::try_from(count.min(MAX_FOUND)).unwrap_or(100));
        let answer = Box::pin(request.send()).await.map_err(StoreError::table("search the vectors"))?;
        let found = answer.search_results.unwrap_or_default().into_iter();
        Ok(found
            .filter_map(|result| {
                let key = read_key(&result.item?)?;
                // The index gives the distance: 0 for the same direction, 2 for the opposite.
                Some(Found { key, similarity: 1.0 - result.score })
            })
            .collect())
    }

    /// Reads those of the chunks that are there, in any order.
    pub async fn read(&self, keys: &[ChunkKey]) -> Result<Vec<Chunk>, StoreError> {
        let mut chunks = Vec::new();
        for some in keys.chunks(MAX_BATCH) {
            let keys = some.iter().map(|key| keys::chunk(&key.file, key.generation, key.n)).collect();
            for item in self.0.get_attributes(keys, Some("pk, sk, content, text_start")).await? {
                chunks.extend(read_chunk(&item)?);
            }
        }
        Ok(chunks)
    }

    /// Reads the chunks of a generation, in order.
    pub async fn read_all(&self, file: &StoreFileKey, generation: u32) -> Result<Vec<Chunk>, StoreError> {
        let mut found = self.read_generation(file, generation, "pk, sk, content, text_start");
        let mut chunks = Vec::new();
        while let Some(item) = found.next().await? {
            chunks.extend(read_chunk(&item)?);
        }
        Ok(chunks)
    }

    /// Reads the chunks of a generation with their embeddings, in order.
    pub async fn read_embeddings(
        &self,
        file: &StoreFileKey,
        generation: u32,
    ) -> Result<Vec<(Chunk, Vec<i16>)>, StoreError> {
        let mut found = self.read_generation(file, generation, "pk, sk, content, text_start, vec");
        let mut chunks = Vec::new();
        while let Some(item) = found.next().await? {
            if let Some(chunk) = read_chunk(&item)? {
                chunks.push((chunk, read_vector(&item)?));
            }
        }
        Ok(chunks)
    }

    /// The items of a generation with these attributes.
    fn read_generation(&self, file: &StoreFileKey, generation: u32, names: &str) -> ItemStream {
        let prefix = format!("{generation:06}#");
        let request = self.0.query_between(&keys::chunks_partition(file), &prefix, &format!("{prefix}~"));
        ItemStream::of(request.projection_expression(names))
    }

    /// Deletes the chunks of a file up to the generation `last`, but for those of the generation `kept`. Later ones are another process's.
    pub async fn delete(&self, file: &StoreFileKey, last: u32, kept: Option<u32>) -> Result<(), StoreError> {
        let to = format!("{last:06}#~");
        let request = self.0.query_between(&keys::chunks_partition(file), "0", &to).projection_expression("pk, sk");
        let mut found = ItemStream::of(request);
        loop {
            let some = found.take(MAX_BATCH).await?;
            if some.is_empty() {
                return Ok(());
            }
            let keys: Vec<Key> = some.iter().filter_map(key_of).filter(|key| !is_of(key, kept)).collect();
            for some in keys.chunks(AT_ONCE) {
                try_join_all(some.iter().map(|key| self.0.delete(key.clone()))).await?;
            }
        }
    }
}

/// The items of a chunk. Each has a vector of its own.
fn items(file: &StoreFileKey, generation: u32, chunk: NewChunk) -> Vec<Item> {
    let scope = |kind| text(keys::vector_scope(&file.store, kind));
    let with_text = keys::chunk(file, generation, chunk.n).with([
        ("content", text(chunk.text)),
        ("text_start", number(chunk.start)),
        ("content_hash", text(chunk.hash)),
        ("vec_scope", scope(BY_MEANING)),
        ("vec", AttributeValue::L(chunk.embedding.iter().map(number).collect())),
    ]);
    let mut with_words = keys::chunk_words(file, generation, chunk.n).with([]);
    if let Some(words) = chunk.words {
        let words = AttributeValue::L(words.iter().map(number).collect());
        insert(&mut with_words, [("vec_scope", scope(BY_WORDS)), ("vec", words)]);
    }
    vec![with_text, with_words]
}

fn key_of(item: &Item) -> Option<Key> {
    let reader = Reader(item);
    Some(Key { pk: reader.maybe_text("pk")?, sk: reader.maybe_text("sk")? })
}

/// Whether an item is of this generation.
fn is_of(key: &Key, generation: Option<u32>) -> bool {
    let parts = keys::chunk_parts(&key.pk, &key.sk);
    generation.is_some() && parts.is_some_and(|(_, found, _)| Some(found) == generation)
}

fn read_key(item: &Item) -> Option<ChunkKey> {
    let reader = Reader(item);
    let (file, generation, n) = keys::chunk_parts(&reader.maybe_text("pk")?, &reader.maybe_text("sk")?)?;
    Some(ChunkKey { file, generation, n })
}

/// Reads the item with the text of a chunk. Returns `None` for the one with its words.
fn read_chunk(item: &Item) -> Result<Option<Chunk>, StoreError> {
    let reader = Reader(item);
    let Some((key, text)) = read_key(item).zip(reader.maybe_text("content")) else { return Ok(None) };
    Ok(Some(Chunk { key, text, start: reader.number("text_start")? }))
}

fn read_vector(item: &Item) -> Result<Vec<i16>, StoreError> {
    let damaged = || Reader(item).damaged("vec");
    let numbers = item.get("vec").and_then(|vector| vector.as_l().ok()).ok_or_else(damaged)?;
    numbers.iter().map(|number| number.as_n().ok().and_then(|digits| digits.parse().ok()).ok_or_else(damaged)).collect()
}
