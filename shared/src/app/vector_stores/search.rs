//! Searches vector stores by meaning and by words.
//!
//! The index finds candidates twice: by their embeddings and by their lexical vectors. The candidates are looked up, because the index
//! lags behind the table; those of files that are not in the store are left out. Both orders are then fused by reciprocal ranks.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::future::try_join_all;

use super::embed::{Embedder, Embeddings};
use super::files::expired;
use super::find_store;
use crate::app::error::Error;
use crate::app::pipeline::CallOptions;
use crate::data::{Chunk, ChunkKey, ChunkRecords, Found, ListQuery, StoreFileRecords, VectorStoreRecords};
use crate::dialects::openai_vector_stores::SearchVectorStore;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::vector_store::{Attributes, Filter, Query, StoreFile, StoreStatus, VectorStore};

/// Searches vector stores.
pub struct VectorSearch {
    pub(in crate::app) stores: VectorStoreRecords,
    pub(in crate::app) files: StoreFileRecords,
    pub(in crate::app) chunks: ChunkRecords,
    pub(in crate::app) embedder: Embedder,
    pub(in crate::app) clock: Clock,
}

/// The answer to a search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SearchAnswer {
    /// The best first.
    pub results: Vec<SearchResult>,
    /// Of embedding the queries.
    pub cost: MicroUsd,
}

/// A chunk that a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    pub file_id: String,
    pub filename: String,
    pub attributes: Attributes,
    /// 0 to 1.
    pub score: f64,
    pub text: String,
}

/// Candidates of one query that are compared in each of the two orders.
const CANDIDATES: usize = 50;
/// The results of the index of which these are taken: all that it gives.
const FROM_INDEX: usize = 100;
/// If the files that a filter leaves have at most so many chunks, all are compared. The index does not know the filter.
const COMPARED_WHOLE: u64 = 1_000;
/// Files whose chunks are read at the same time.
const READ_AT_ONCE: usize = 8;
/// Files read at once to be filtered.
const PAGE: usize = 1_000;
/// How often the activity of a store is noted.
const ACTIVITY_MS: u64 = 3_600_000;
/// The usual constant of reciprocal rank fusion.
const RANK_OFFSET: f64 = 60.0;
/// How much the words of a query can add to the score of a chunk.
const WORDS_SHARE: f64 = 0.5;

/// A candidate for one query.
#[derive(Debug, Clone)]
struct Candidate {
    chunk: Chunk,
    /// To the query, 0 to 1; 0 if it was not among the nearest.
    similarity: f64,
    /// The share of the query's words that it has, 0 to 1.
    words: f64,
}

impl VectorSearch {
    /// Searches a store: for each query, by its embedding, which is charged to the caller, and by its words.
    ///
    /// # Errors
    /// `NotFound` if the project has no such store; `Invalid` if it has expired; those of a call of its embedding model.
    pub async fn search(
        &self,
        caller: &Caller,
        store_id: &str,
        search: &SearchVectorStore,
        options: &CallOptions,
    ) -> Result<SearchAnswer, Error> {
        let store = find_store(&self.stores, caller, store_id).await?;
        if store.status(self.clock.now()) == StoreStatus::Expired {
            return Err(expired(&store).into());
        }
        self.note_activity(&store).await;
        if store.usage_bytes == 0 {
            return Ok(SearchAnswer::default());
        }
        let files = match &search.filter {
            Some(filter) => Some(self.filter(&store, filter).await?),
            None => None,
        };
        if files.as_ref().is_some_and(HashMap::is_empty) {
            return Ok(SearchAnswer::default());
        }
        let texts: Vec<&str> = search.queries.iter().map(String::as_str).collect();
        let Embeddings { vectors, cost } = self.embedder.embed(caller, &store.embedding_model, &texts, options).await?;
        let queries: Vec<Query> = texts.iter().map(|text| Query::new(text)).collect();
        let whole = match &files {
            Some(files) => self.whole(files).await?,
            None => None,
        };
        let searches = queries.iter().zip(&vectors).map(async |(query, vector)| match &whole {
            Some(chunks) => Ok(compare(chunks, query, vector, search.by_words)),
            None => self.candidates(&store, query, vector, search.by_words, files.as_ref()).await,
        });
        let found = try_join_all(searches).await?;
        let known = match files {
            Some(files) => files,
            None => self.files_of(&store, found.iter().flatten().map(|candidate| &candidate.chunk.key)).await?,
        };
        let results = fuse(&found, search).into_iter();
        let results = results
            .filter_map(|(candidate, score)| {
                let file = known.get(&candidate.chunk.key.file.file_id)?;
                Some(SearchResult {
                    file_id: file.key.file_id.clone(),
                    filename: file.filename.clone(),
                    attributes: file.attributes.clone(),
                    score,
                    text: candidate.chunk.text.clone(),
                })
            })
            .collect();
        Ok(SearchAnswer { results, cost })
    }

    async fn note_activity(&self, store: &VectorStore) {
        let now = self.clock.now();
        if store.last_active_at.until(now) < ACTIVITY_MS {
            return;
        }
        // A search need not fail for this; the next one notes it.
        if let Err(error) = self.stores.touch(&store.key, now).await {
            tracing::warn!(error = %ErrorChain(&error), "activity of a vector store not noted");
        }
    }

    /// The files of a store that a filter leaves.
    async fn filter(&self, store: &VectorStore, filter: &Filter) -> Result<HashMap<String, StoreFile>, Error> {
        let mut left = HashMap::new();
        let mut query = ListQuery { oldest_first: true, limit: PAGE, ..ListQuery::default() };
        loop {
            let page = self.files.list(&store.key, None, &query).await?;
            query.after = page.items.last().map(|file| file.key.file_id.clone());
            let matching = page.items.into_iter();
            let matching = matching.filter(|file| self.is_searched(file) && filter.matches(&file.attributes));
            left.extend(matching.map(|file| (file.key.file_id.clone(), file)));
            if !page.has_more {
                return Ok(left);
            }
        }
    }

    fn is_searched(&self, file: &StoreFile) -> bool {
        let now = self.clock.now().seconds();
        file.live.is_some() && !file.is_detached() && file.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// The files of these chunks that are searched.
    async fn files_of<'a>(
        &self,
        store: &VectorStore,
        chunks: impl Iterator<Item = &'a ChunkKey>,
    ) -> Result<HashMap<String, StoreFile>, Error> {
        let ids: BTreeSet<&String> = chunks.map(|key| &key.file.file_id).collect();
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let files = self.files.get_all(&store.key, &ids).await?.into_iter().filter(|file| self.is_searched(file));
        Ok(files.map(|file| (file.key.file_id.clone(), file)).collect())
    }

    /// The chunks of these files with their embeddings; `None`: there are too many of them to be compared.
    async fn whole(&self, files: &HashMap<String, StoreFile>) -> Result<Option<Vec<(Chunk, Vec<i16>)>>, Error> {
        let count: u64 = files.values().map(|file| u64::from(file.chunks)).sum();
        if count > COMPARED_WHOLE {
            return Ok(None);
        }
        let (files, mut chunks): (Vec<&StoreFile>, _) = (files.values().collect(), Vec::new());
        for some in files.chunks(READ_AT_ONCE) {
            let reads = some.iter().map(|file| self.chunks.read_embeddings(&file.key, file.live.unwrap_or_default()));
            chunks.extend(try_join_all(reads).await?.into_iter().flatten());
        }
        Ok(Some(chunks))
    }

    /// What may answer a query.
    async fn candidates(
        &self,
        store: &VectorStore,
        query: &Query,
        embedding: &[i16],
        by_words: bool,
        files: Option<&HashMap<String, StoreFile>>,
    ) -> Result<Vec<Candidate>, Error> {
        let by_meaning = self.chunks.search_meaning(&store.key, embedding, FROM_INDEX);
        let words_of = by_words.then_some(query);
        let words = query.vector().filter(|_| by_words);
        let by_words = async {
            match &words {
                Some(words) => self.chunks.search_words(&store.key, words, FROM_INDEX).await,
                None => Ok(Vec::new()),
            }
        };
        let (by_meaning, by_words) = tokio::try_join!(by_meaning, by_words)?;
        let looked_up;
        let known = match files {
            Some(files) => files,
            None => {
                let found = by_meaning.iter().chain(&by_words).map(|found| &found.key);
                looked_up = self.files_of(store, found).await?;
                &looked_up
            }
        };
        let is_live = |Found { key, .. }: &Found| {
            known.get(&key.file.file_id).is_some_and(|file| file.live == Some(key.generation) && key.n < file.chunks)
        };
        let [by_meaning, by_words] =
            [by_meaning, by_words].map(|found| found.into_iter().filter(is_live).take(CANDIDATES).collect::<Vec<_>>());
        let similarities: HashMap<ChunkKey, f64> =
            by_meaning.iter().map(|found| (found.key.clone(), found.similarity)).collect();
        let keys: HashSet<ChunkKey> = by_meaning.into_iter().chain(by_words).map(|found| found.key).collect();
        let chunks = self.chunks.read(&keys.into_iter().collect::<Vec<_>>()).await?;
        Ok(chunks
            .into_iter()
            .map(|chunk| {
                let similarity = similarities.get(&chunk.key).copied().unwrap_or(0.0);
                Candidate::new(chunk, similarity, words_of)
            })
            .collect())
    }
}

impl Candidate {
    /// `query`: compares its words, too.
    fn new(chunk: Chunk, similarity: f64, query: Option<&Query>) -> Self {
        let words = query.map_or(0.0, |query| query.score(&chunk.text));
        Self { chunk, similarity: similarity.clamp(0.0, 1.0), words }
    }
}

/// Compares all of these chunks with a query.
fn compare(chunks: &[(Chunk, Vec<i16>)], query: &Query, embedding: &[i16], by_words: bool) -> Vec<Candidate> {
    let compared = |(chunk, of_chunk): &(Chunk, Vec<i16>)| {
        Candidate::new(chunk.clone(), cosine(embedding, of_chunk), by_words.then_some(query))
    };
    chunks.iter().map(compared).collect()
}

/// The best candidates of all queries with their scores, the best first.
fn fuse<'a>(found: &'a [Vec<Candidate>], search: &SearchVectorStore) -> Vec<(&'a Candidate, f64)> {
    let mut fused: HashMap<&ChunkKey, (&Candidate, f64, f64)> = HashMap::new();
    for candidates in found {
        for of in [|candidate: &Candidate| candidate.similarity, |candidate: &Candidate| candidate.words] {
            let mut ranked: Vec<&Candidate> = candidates.iter().filter(|candidate| of(candidate) > 0.0).collect();
            ranked.sort_by(|a, b| descending(of(a), of(b)).then_with(|| order(&a.chunk.key, &b.chunk.key)));
            for (rank, candidate) in (0_u32..).zip(ranked) {
                let score = 1.0 - (1.0 - candidate.similarity) * (1.0 - WORDS_SHARE * candidate.words);
                let entry = fused.entry(&candidate.chunk.key).or_insert((candidate, 0.0, score));
                entry.1 += 1.0 / (RANK_OFFSET + f64::from(rank));
                entry.2 = entry.2.max(score);
            }
        }
    }
    let mut fused: Vec<(&Candidate, f64, f64)> = fused.into_values().collect();
    fused.sort_by(|a, b| descending(a.1, b.1).then_with(|| order(&a.0.chunk.key, &b.0.chunk.key)));
    fused.retain(|(_, _, score)| *score >= search.score_threshold);
    fused.into_iter().take(search.max_results).map(|(candidate, _, score)| (candidate, score)).collect()
}

fn descending(one: f64, other: f64) -> Ordering {
    other.total_cmp(&one)
}

/// The order of chunks that are equally near.
fn order(one: &ChunkKey, other: &ChunkKey) -> Ordering {
    (&one.file.file_id, one.n).cmp(&(&other.file.file_id, other.n))
}

fn cosine(one: &[i16], other: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(one, other) / lengths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vector_store::{StoreFileKey, VectorStoreKey};

    fn candidate(n: u32, similarity: f64, words: f64) -> Candidate {
        let store = VectorStoreKey { project_id: "p".into(), store_id: "vs_1".into() };
        let key = ChunkKey { file: StoreFileKey { store, file_id: "file-1".into() }, generation: 1, n };
        Candidate { chunk: Chunk { key, text: n.to_string(), start: 0 }, similarity, words }
    }

    fn order_of(found: &[Vec<Candidate>], max_results: usize, score_threshold: f64) -> Vec<u32> {
        let search = SearchVectorStore { queries: vec![], max_results, filter: None, by_words: true, score_threshold };
        let fused = fuse(found, &search);
        assert!(fused.iter().all(|(_, score)| (0.0..=1.0).contains(score)), "{fused:?}");
        fused.iter().map(|(candidate, _)| candidate.chunk.key.n).collect()
    }

    #[test]
    fn a_chunk_that_both_orders_have_comes_before_those_of_one() {
        let found = [vec![candidate(1, 0.9, 0.0), candidate(2, 0.8, 0.7), candidate(3, 0.0, 0.9)]];
        assert_eq!(order_of(&found, 10, 0.0), [2, 1, 3]);
        assert_eq!(order_of(&found, 2, 0.0), [2, 1]);
        assert_eq!(order_of(&found, 10, 0.5), [2, 1], "half of the score of words is not enough");
    }

    #[test]
    fn equal_candidates_keep_the_order_of_the_text() {
        let found = [vec![candidate(3, 0.5, 0.0), candidate(1, 0.5, 0.0), candidate(2, 0.5, 0.0)]];
        assert_eq!(order_of(&found, 10, 0.0), [1, 2, 3]);
    }

    #[test]
    fn all_queries_are_fused() {
        let found = [vec![candidate(1, 0.9, 0.0), candidate(2, 0.8, 0.0)], vec![candidate(2, 0.9, 0.0)]];
        assert_eq!(order_of(&found, 10, 0.0), [2, 1]);
    }

    #[test]
    fn the_cosine_depends_on_directions_only() {
        assert!((cosine(&[1, 2], &[100, 200]) - 1.0).abs() < 1e-9);
        assert!((cosine(&[1, 0], &[0, 7])).abs() < 1e-9);
        assert!((cosine(&[0, 0], &[1, 1])).abs() < 1e-9);
    }
}
