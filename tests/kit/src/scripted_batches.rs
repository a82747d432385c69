//! The batch API of a scripted provider, in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value;
use shared::model::clock::Timestamp;
use shared::model::provider::{Failure, ProviderRefusal};
use shared::model::provider_batch::{BatchRefusal, BatchState, EndedBatch, NewBatch, ProviderBatches, RequestEnd};

/// What becomes of a submission.
#[derive(Clone, Copy)]
pub enum Submission {
    /// The provider takes it, and its answer is lost.
    Unanswered,
    Fails(fn() -> Failure),
    /// The provider answers, and then finds that it cannot take it.
    Refused {
        is_full: bool,
    },
}

/// A batch that the provider has.
#[derive(Debug, Clone)]
pub struct TakenBatch {
    pub id: String,
    pub new: NewBatch,
    pub state: BatchState,
    pub is_cancelled: bool,
    pub is_deleted: bool,
    ends: Vec<RequestEnd>,
}

/// What a provider answers to a request of a batch.
pub type AnswerRequest<'a> = &'a dyn Fn(&str, &Value) -> Option<(u16, Bytes)>;

/// Keeps batches until a test ends them.
#[derive(Default)]
pub struct ScriptedBatches {
    taken: Mutex<Vec<TakenBatch>>,
    next: Mutex<VecDeque<Submission>>,
    /// Whether batches cannot be found by their tags.
    is_blind: Mutex<bool>,
    asked: AtomicUsize,
}

impl ScriptedBatches {
    pub fn then(&self, submission: Submission) {
        self.next.lock().unwrap().push_back(submission);
    }

    /// From now on no batch is found by its tag.
    pub fn hide_tags(&self) {
        *self.is_blind.lock().unwrap() = true;
    }

    /// The batches so far.
    #[must_use]
    pub fn taken(&self) -> Vec<TakenBatch> {
        self.lock().clone()
    }

    /// Ends the batches that run: each request gets its answer.
    pub fn end_all(&self, answer: AnswerRequest<'_>) {
        for batch in self.lock().iter_mut().filter(|batch| batch.state == BatchState::Running) {
            let end = |(id, body): &(String, Bytes)| {
                let json = serde_json::from_slice(body).expect("the body is JSON");
                RequestEnd { id: id.clone(), answer: answer(id, &json) }
            };
            batch.ends = batch.new.requests.iter().map(end).collect();
            batch.state = BatchState::Ended(EndedBatch { id: batch.id.clone(), ..EndedBatch::default() });
        }
    }

    /// Deletes the results of all batches, which are still known.
    pub fn delete_all(&self) {
        self.lock().iter_mut().for_each(|batch| batch.is_deleted = true);
    }

    /// How often somebody asked how far a batch is.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Loses a batch: the provider does not know it any more.
    pub fn lose_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TakenBatch>> {
        self.taken.lock().unwrap()
    }

    fn with<T>(&self, id: &str, change: impl FnOnce(&mut TakenBatch) -> T) -> Result<T, Failure> {
        let mut taken = self.lock();
        let found = taken.iter_mut().find(|batch| batch.id == id);
        let unknown = || Failure::Refused { status: 404, refusal: ProviderRefusal::default() };
        found.map(change).ok_or_else(unknown)
    }
}

#[async_trait]
impl ProviderBatches for ScriptedBatches {
    async fn submit(&self, new: &NewBatch) -> Result<String, Failure> {
        let next = self.next.lock().unwrap().pop_front();
        if let Some(Submission::Fails(failure)) = next {
            return Err(failure());
        }
        let mut taken = self.lock();
        let id = format!("theirs-{}", taken.len());
        let state = match next {
            Some(Submission::Refused { is_full }) => {
                let input = Some("their-file".to_owned());
                BatchState::Refused(BatchRefusal { is_full, reason: "scripted".to_owned(), input })
            }
            _ => BatchState::Running,
        };
        let (new, ends) = (new.clone(), Vec::new());
        taken.push(TakenBatch { id: id.clone(), new, state, is_cancelled: false, is_deleted: false, ends });
        match next {
            Some(Submission::Unanswered) => Err(Failure::Interrupted("cut".into())),
            _ => Ok(id),
        }
    }

    fn can_find(&self) -> bool {
        !*self.is_blind.lock().unwrap()
    }

    async fn find(&self, tag: &str, _: Timestamp) -> Result<Option<String>, Failure> {
        if *self.is_blind.lock().unwrap() {
            return Err(Failure::Unsupported { what: "it has no tags".to_owned(), param: None });
        }
        Ok(self.lock().iter().find(|batch| batch.new.tag == tag).map(|batch| batch.id.clone()))
    }

    async fn state(&self, id: &str) -> Result<BatchState, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.with(id, |batch| batch.state.clone())
    }

    async fn cancel(&self, id: &str) -> Result<(), Failure> {
        self.with(id, |batch| batch.is_cancelled = true)
    }

    async fn results(&self, ended: &EndedBatch) -> Result<BoxStream<'static, Result<RequestEnd, Failure>>, Failure> {
        let (ends, is_deleted) = self.with(&ended.id, |batch| (batch.ends.clone(), batch.is_deleted))?;
        if is_deleted {
            return Err(Failure::Refused { status: 404, refusal: ProviderRefusal::default() });
        }
        Ok(futures_util::stream::iter(ends.into_iter().map(Ok)).boxed())
    }

    async fn delete(&self, ended: &EndedBatch) -> Result<(), Failure> {
        match &ended.input {
            // The file of a batch that was refused.
            Some(_) => Ok(()),
            None => self.with(&ended.id, |batch| batch.is_deleted = true),
        }
    }
}
