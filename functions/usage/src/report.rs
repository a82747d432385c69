//! Reports in OpenAI's format.

use serde::Serialize;
use shared::app::usage::UsagePage;
use shared::model::money::MicroUsd;
use shared::model::usage::{Group, Tally};
use shared::model::usage::{Operation, UsageCount};

use crate::query::{Report, write_page};

#[derive(Serialize)]
pub(crate) struct Page {
    object: &'static str,
    data: Vec<BucketObject>,
    has_more: bool,
    next_page: Option<String>,
}

#[derive(Serialize)]
struct BucketObject {
    object: &'static str,
    start_time: u64,
    end_time: u64,
    results: Vec<Sum>,
}

/// A sum of a bucket. Fields that the report is not grouped by are `null`.
#[derive(Serialize)]
#[serde(tag = "object")]
enum Sum {
    #[serde(rename = "organization.usage.completions.result")]
    Completions {
        input_tokens: u64,
        input_cached_tokens: u64,
        input_cache_write_tokens: u64,
        input_uncached_tokens: u64,
        input_audio_tokens: u64,
        output_tokens: u64,
        output_audio_tokens: u64,
        num_model_requests: u64,
        project_id: Option<String>,
        user_id: Option<String>,
        api_key_id: Option<String>,
        /// Only in a report that is grouped by it: OpenAI has no runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<String>,
        model: Option<String>,
        batch: Option<bool>,
        service_tier: Option<String>,
    },
    #[serde(rename = "organization.usage.embeddings.result")]
    Embeddings(Inputs),
    #[serde(rename = "organization.usage.moderations.result")]
    Moderations(Inputs),
    #[serde(rename = "organization.usage.images.result")]
    Images {
        images: u64,
        #[serde(flatten)]
        calls: Calls,
        source: Option<String>,
        size: Option<String>,
    },
    #[serde(rename = "organization.usage.audio_speeches.result")]
    AudioSpeeches {
        characters: u64,
        #[serde(flatten)]
        calls: Calls,
    },
    #[serde(rename = "organization.usage.audio_transcriptions.result")]
    AudioTranscriptions {
        seconds: u64,
        #[serde(flatten)]
        calls: Calls,
    },
    #[serde(rename = "organization.costs.result")]
    Costs {
        amount: Amount,
        line_item: Option<String>,
        project_id: Option<String>,
        api_key_id: Option<String>,
        /// Only in a report that is grouped by it: OpenAI has no runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<String>,
        /// Always `null`: input and output tokens have different prices, so no unit fits both.
        quantity: Option<f64>,
        quantity_unit: Option<String>,
    },
}

/// Usage of an operation that has no output tokens.
#[derive(Serialize)]
struct Inputs {
    input_tokens: u64,
    #[serde(flatten)]
    calls: Calls,
}

/// The number of calls of a group.
#[derive(Serialize)]
struct Calls {
    num_model_requests: u64,
    project_id: Option<String>,
    user_id: Option<String>,
    api_key_id: Option<String>,
    /// Only in a report that is grouped by it: OpenAI has no runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    model: Option<String>,
}

#[derive(Serialize)]
struct Amount {
    /// In dollars. Exact, because its shortest decimal form has the six places of a micro-dollar.
    value: f64,
    currency: &'static str,
}

impl From<MicroUsd> for Amount {
    fn from(cost: MicroUsd) -> Self {
        Self { value: cost.dollars(), currency: "usd" }
    }
}

impl Page {
    pub(crate) fn new(report: Report, page: UsagePage) -> Self {
        let bucket = |Tally { bucket, sums }| BucketObject {
            object: "bucket",
            start_time: bucket.start,
            end_time: bucket.end,
            results: sums.into_iter().map(|(group, count)| Sum::new(report, group, &count)).collect(),
        };
        Self {
            object: "page",
            data: page.tallies.into_iter().map(bucket).collect(),
            has_more: page.next.is_some(),
            next_page: page.next.map(write_page),
        }
    }
}

impl Sum {
    fn new(report: Report, group: Group, count: &UsageCount) -> Self {
        match report {
            Report::Usage(Operation::Completions) => Self::completions(group, count),
            Report::Usage(Operation::Embeddings) => Self::Embeddings(Inputs::new(group, count)),
            Report::Usage(Operation::Moderations) => Self::Moderations(Inputs::new(group, count)),
            Report::Usage(Operation::Images) => {
                Self::Images { images: count.tokens.pieces, calls: Calls::new(group, count), source: None, size: None }
            }
            Report::Usage(Operation::AudioSpeeches) => {
                Self::AudioSpeeches { characters: count.tokens.pieces, calls: Calls::new(group, count) }
            }
            Report::Usage(Operation::AudioTranscriptions) => {
                Self::AudioTranscriptions { seconds: count.tokens.pieces, calls: Calls::new(group, count) }
            }
            Report::Costs => Self::Costs {
                amount: count.cost.into(),
                line_item: group.model,
                project_id: group.project_id,
                api_key_id: group.api_key_id,
                run_id: group.run,
                quantity: None,
                quantity_unit: None,
            },
        }
    }

    fn completions(group: Group, UsageCount { requests, tokens, .. }: &UsageCount) -> Self {
        Self::Completions {
            input_tokens: tokens.input,
            input_cached_tokens: tokens.cached_input,
            input_cache_write_tokens: tokens.cache_write,
            input_uncached_tokens: tokens.input.saturating_sub(tokens.cached_input).saturating_sub(tokens.cache_write),
            input_audio_tokens: tokens.audio_input,
            output_tokens: tokens.output,
            output_audio_tokens: tokens.audio_output,
            num_model_requests: *requests,
            project_id: group.project_id,
            user_id: None,
            api_key_id: group.api_key_id,
            run_id: group.run,
            model: group.model,
            batch: None,
            service_tier: None,
        }
    }
}

impl Inputs {
    fn new(group: Group, count: &UsageCount) -> Self {
        Self { input_tokens: count.tokens.input, calls: Calls::new(group, count) }
    }
}

impl Calls {
    fn new(group: Group, count: &UsageCount) -> Self {
        Self {
            num_model_requests: count.requests,
            project_id: group.project_id,
            user_id: None,
            api_key_id: group.api_key_id,
            run_id: group.run,
            model: group.model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_the_micro_dollar() {
        let digits = |micro| serde_json::to_string(&Amount::from(MicroUsd(micro)).value).unwrap();
        for (micro, text) in [(0, "0.0"), (123, "0.000123"), (300_000, "0.3"), (1_234_567_890_123, "1234567.890123")] {
            assert_eq!(digits(micro), text);
        }
    }
}
