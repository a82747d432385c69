//! The shapes of `generateContent` that weir writes and reads.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::provider::Failure;
use shared::model::tokens::Usage;

use crate::counts;
use crate::http::failure_of_google;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<Content<'a>>,
    pub contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig<'a>>,
    pub generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    pub parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(flatten)]
    pub data: Payload<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Payload<'a> {
    Text(&'a str),
    InlineData(Blob<'a>),
    FileData(FileData<'a>),
    FunctionCall(FunctionCall<'a>),
    FunctionResponse(FunctionResponse<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    pub mime_type: &'a str,
    /// In base64.
    pub data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<&'static str>,
    pub file_uri: &'a str,
}

#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub args: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct FunctionResponse<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub response: Response,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part<'a>>,
}

/// A result as a text. As an object of its own, a member `$ref` would be taken for a reference to a part.
#[derive(Serialize)]
pub(super) struct Response {
    pub output: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tools<'a> {
    pub function_declarations: Vec<FunctionDeclaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionDeclaration<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    pub parameters_json_schema: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    pub function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionCallingConfig<'a> {
    pub mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_config: Option<ThinkingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_json_schema: Option<&'a RawValue>,
}

/// Google refuses a budget together with a level.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThinkingConfig {
    pub include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_budget: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<&'static str>,
}

/// An answer, or a piece of a streamed one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply {
    pub candidates: Option<Vec<Candidate>>,
    pub prompt_feedback: Option<PromptFeedback>,
    pub usage_metadata: Option<Counts>,
    pub model_version: Option<String>,
    pub response_id: Option<String>,
    #[serde(default)]
    error: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub content: Option<ReplyContent>,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ReplyContent {
    pub parts: Option<Vec<ReplyPart>>,
}

/// A part of an answer. Parts of other kinds have none of these members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplyPart {
    pub text: Option<String>,
    /// Whether the text is a thought.
    pub thought: Option<bool>,
    pub thought_signature: Option<String>,
    pub function_call: Option<ReplyCall>,
}

#[derive(Deserialize)]
pub(super) struct ReplyCall {
    pub id: Option<String>,
    pub name: String,
    pub args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub block_reason: Option<String>,
}

impl Reply {
    /// Reads an answer or a piece of one.
    ///
    /// # Errors
    /// `Malformed` if it is not of this API. The failure for its error if it is one, alone or in a list of one.
    pub(super) fn read(json: &str) -> Result<Self, Failure> {
        let wrong = |error| Failure::Malformed(format!("the answer is not Gemini's: {error}"));
        let reply: Self = if json.trim_start().starts_with('[') {
            let [reply] = serde_json::from_str::<[Self; 1]>(json).map_err(wrong)?;
            reply
        } else {
            serde_json::from_str(json).map_err(wrong)?
        };
        if reply.error.is_null() { Ok(reply) } else { Err(failure_of_google(&reply.error)) }
    }

    /// The first candidate. weir asks for one.
    pub(super) fn candidate(&mut self) -> Option<Candidate> {
        self.candidates.take()?.into_iter().next()
    }

    /// Whether Google refused the prompt.
    pub(super) fn is_blocked(&self) -> bool {
        self.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some())
    }
}

/// Tokens so far. In a stream, the counts of an event replace the earlier ones.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    #[serde(default, deserialize_with = "counts::member")]
    prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    cached_content_token_count: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    candidates_token_count: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    thoughts_token_count: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    tool_use_prompt_token_count: Option<u64>,
}

impl Counts {
    pub(super) fn updated_by(self, newer: Self) -> Self {
        Self {
            prompt_token_count: newer.prompt_token_count.or(self.prompt_token_count),
            cached_content_token_count: newer.cached_content_token_count.or(self.cached_content_token_count),
            candidates_token_count: newer.candidates_token_count.or(self.candidates_token_count),
            thoughts_token_count: newer.thoughts_token_count.or(self.thoughts_token_count),
            tool_use_prompt_token_count: newer.tool_use_prompt_token_count.or(self.tool_use_prompt_token_count),
        }
    }

    /// The usage as OpenAI counts it: the output includes the thoughts.
    pub(super) fn usage(&self) -> Usage {
        let reasoning = self.thoughts_token_count.unwrap_or(0);
        Usage {
            input: self.prompt_token_count.unwrap_or(0).saturating_add(self.tool_use_prompt_token_count.unwrap_or(0)),
            cached_input: self.cached_content_token_count.unwrap_or(0),
            output: self.candidates_token_count.unwrap_or(0).saturating_add(reasoning),
            reasoning,
            ..Usage::default()
        }
    }
}
