//! Counted usage: the counters of a project, and their sums by time and group.

mod aggregate;
mod buckets;

use std::ops::AddAssign;

use super::catalog::ModelKind;
use super::money::MicroUsd;
use super::tokens::Usage;
pub use aggregate::{Group, Grouping, Selection, Tally, aggregate};
pub use buckets::{Bucket, Range, Width};

/// The kind of calls that a counter counts. The names are those of OpenAI's usage endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Completions,
    Embeddings,
    Moderations,
    Images,
    AudioSpeeches,
    AudioTranscriptions,
}

impl Operation {
    const ALL: [Self; 6] = [
        Self::Completions,
        Self::Embeddings,
        Self::Moderations,
        Self::Images,
        Self::AudioSpeeches,
        Self::AudioTranscriptions,
    ];

    /// The operation that calls of a model count as.
    #[must_use]
    pub fn of(kind: ModelKind) -> Self {
        match kind {
            ModelKind::Chat => Self::Completions,
            ModelKind::Embedding => Self::Embeddings,
            ModelKind::Moderation => Self::Moderations,
            ModelKind::Image => Self::Images,
            ModelKind::Speech => Self::AudioSpeeches,
            ModelKind::Transcription => Self::AudioTranscriptions,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::AudioSpeeches => "audio_speeches",
            Self::AudioTranscriptions => "audio_transcriptions",
        }
    }

    /// The operation with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// Identifies a counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsageKey {
    pub project_id: String,
    /// UTC, `2026-11-22T17`.
    pub hour: String,
    pub operation: Operation,
    pub model: String,
    /// `key_...`; `unknown` for reservations that the sweeper settled.
    pub api_key_id: String,
    /// The name of the run; empty for a call without one.
    pub run: String,
    pub shard: u8,
}

/// The value of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageCount {
    pub requests: u64,
    pub tokens: Usage,
    pub cost: MicroUsd,
}

impl AddAssign for UsageCount {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.cost += other.cost;
    }
}
