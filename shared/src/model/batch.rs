//! Batches: files with many requests, each of which is answered once.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::meter::RunName;
use super::money::MicroUsd;
use super::object::Object;
use super::provider::Endpoint;
use super::tokens::Usage;

/// The key of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchKey {
    pub project_id: String,
    /// Ids of later batches sort after those of earlier ones.
    pub batch_id: String,
}

/// Work on a batch, as a message names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchWork {
    #[serde(flatten)]
    pub key: BatchKey,
    /// The part to run; `None`: the next step of the whole batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
}

/// The most requests of a batch: OpenAI's limit.
pub const MAX_LINES: u64 = 50_000;
/// The most bytes of its file: OpenAI's limit.
pub const MAX_BATCH_BYTES: u64 = 200 * 1024 * 1024;
/// How long a batch may take. OpenAI's `completion_window` has no other value.
pub const WINDOW_MS: u64 = 24 * 3_600_000;

/// The endpoint of the requests of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchEndpoint {
    Responses,
    /// Chat completions, completions, embeddings or moderations.
    Call(Endpoint),
}

impl BatchEndpoint {
    /// Those that there are, in the order of OpenAI's documentation.
    pub const ALL: [Self; 5] = [
        Self::Responses,
        Self::Call(Endpoint::ChatCompletions),
        Self::Call(Endpoint::Embeddings),
        Self::Call(Endpoint::Completions),
        Self::Call(Endpoint::Moderations),
    ];

    /// The path, as a request of the batch names it.
    #[must_use]
    pub fn url(self) -> String {
        let path = match self {
            Self::Responses => "/responses",
            Self::Call(endpoint) => endpoint.path(),
        };
        format!("/v1{path}")
    }

    /// The endpoint with this path.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.url() == url)
    }

    /// The endpoint that a model is called at.
    #[must_use]
    pub fn called(self) -> Endpoint {
        match self {
            Self::Responses => Endpoint::ChatCompletions,
            Self::Call(endpoint) => endpoint,
        }
    }
}

/// The status of a batch, as OpenAI names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Its file is read and checked.
    Validating,
    /// Its file has a line that cannot be run. No line was run.
    Failed,
    InProgress,
    /// All lines have a result. The files of results are written.
    Finalizing,
    Completed,
    /// Its time was over before the last line was run.
    Expired,
    /// Somebody cancelled it, and lines are still running.
    Cancelling,
    Cancelled,
}

impl BatchStatus {
    const ALL: [Self; 8] = [
        Self::Validating,
        Self::Failed,
        Self::InProgress,
        Self::Finalizing,
        Self::Completed,
        Self::Expired,
        Self::Cancelling,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the status is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }
}

/// What is wrong with the file of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchError {
    pub code: Cow<'static, str>,
    pub message: String,
    pub param: Option<String>,
    /// Counted from 1; `None`: the file as a whole.
    pub line: Option<u64>,
}

/// The lines that ended, and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounts {
    pub completed: u64,
    pub failed: u64,
    /// Those of the failed ones that were not run, because the time of the batch was over.
    pub expired: u64,
    pub usage: Usage,
    pub cost: MicroUsd,
}

/// When a batch came to a status; `None`: it did not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchTimes {
    pub in_progress_at: Option<Timestamp>,
    pub cancelling_at: Option<Timestamp>,
    pub finalizing_at: Option<Timestamp>,
    /// It came to its final status.
    pub ended_at: Option<Timestamp>,
}

/// Why the lines of a batch wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The refusal, as a caller of the API would read it.
    pub reason: String,
    /// When a worker tries again.
    pub until: Timestamp,
}

/// A batch.
#[derive(Debug, Clone)]
pub struct Batch {
    pub key: BatchKey,
    pub endpoint: BatchEndpoint,
    pub input_file_id: String,
    /// The key that made the batch: its limits hold for the lines.
    pub api_key_id: String,
    pub run: Option<RunName>,
    /// The budget that the run gets if a line of this batch is its first call.
    pub run_budget: Option<MicroUsd>,
    pub metadata: Object,
    /// Seconds after which the files of results expire; `None`: as the files of batches do.
    pub output_seconds: Option<u64>,
    pub created_at: Timestamp,
    pub status: BatchStatus,
    pub times: BatchTimes,
    /// The model that all lines name. Known once the file was checked.
    pub model: Option<String>,
    pub errors: Vec<BatchError>,
    pub lines: u64,
    /// Ranges of lines that are run as one.
    pub parts: u32,
    pub parts_done: u32,
    /// Its lines are for the batch API of a provider.
    pub is_native: bool,
    pub counts: LineCounts,
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub waiting: Option<Waiting>,
    /// How long records and deliveries of the project are kept.
    pub kept_seconds: u64,
    /// The Unix second from which on the batch is not shown any more; `None`: it has not ended.
    pub kept_until: Option<u64>,
    /// Grows with each process that takes the batch up.
    pub fence: u64,
    pub due_at: Option<Timestamp>,
    /// W3C trace context of the request that made the batch.
    pub traceparent: Option<String>,
}

impl Batch {
    /// A batch whose file was not checked yet, of a project that keeps its records for `kept_seconds`.
    #[must_use]
    pub fn new(
        key: BatchKey,
        endpoint: BatchEndpoint,
        input_file_id: String,
        api_key_id: String,
        kept_seconds: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            key,
            endpoint,
            input_file_id,
            api_key_id,
            run: None,
            run_budget: None,
            metadata: Object::default(),
            output_seconds: None,
            created_at: now,
            status: BatchStatus::Validating,
            times: BatchTimes::default(),
            model: None,
            errors: Vec::new(),
            lines: 0,
            parts: 0,
            parts_done: 0,
            is_native: false,
            counts: LineCounts::default(),
            output_file_id: None,
            error_file_id: None,
            waiting: None,
            kept_seconds,
            kept_until: None,
            fence: 0,
            due_at: None,
            traceparent: None,
        }
    }

    /// When lines that were not run are given up.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.plus_ms(WINDOW_MS)
    }

    /// Why a line that has not begun is not run any more.
    #[must_use]
    pub fn why_left(&self, now: Timestamp) -> Option<Left> {
        match self.status {
            BatchStatus::Cancelling | BatchStatus::Cancelled => Some(Left::Cancelled),
            _ if self.expires_at() <= now => Some(Left::Expired),
            _ => None,
        }
    }
}

/// Why a line was not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Cancelled,
    Expired,
}

/// A range of lines of the file, run as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRange {
    /// The first byte.
    pub at: u64,
    pub bytes: u64,
    /// The number of the first line, counted from 1. Empty lines count.
    pub line: u64,
    /// The requests in it.
    pub requests: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(BatchStatus::ALL.map(|status| BatchStatus::parse(status.name())), BatchStatus::ALL.map(Some));
        assert_eq!(
            BatchEndpoint::ALL.map(|endpoint| BatchEndpoint::of_url(&endpoint.url())),
            BatchEndpoint::ALL.map(Some)
        );
        assert_eq!((BatchStatus::parse("done"), BatchEndpoint::of_url("/v1/images/generations")), (None, None));
    }

    #[test]
    fn a_message_names_the_batch_and_the_part_and_nothing_else() {
        let key = BatchKey { project_id: "proj_1".into(), batch_id: "batch_1".into() };
        let json = |part| serde_json::to_string(&BatchWork { key: key.clone(), part }).unwrap();
        assert_eq!(json(None), r#"{"project_id":"proj_1","batch_id":"batch_1"}"#);
        assert_eq!(json(Some(2)), r#"{"project_id":"proj_1","batch_id":"batch_1","part":2}"#);
    }
}
