//! A chat request for providers with an API of their own: system texts, turns, tools, options.
//!
//! It is parsed once from OpenAI's body. Each provider only writes it.

mod arguments;
mod cache;
mod content;
mod data_url;
mod files;
mod ids;
mod messages;
mod options;
mod schema;
mod thoughts;

use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::{Failure, ProviderRefusal};

pub(crate) use cache::CacheMark;
pub(crate) use files::{PDF, is_text};
pub(crate) use ids::accepted as accepted_id;

/// A chat request, independent of OpenAI's shapes.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// System and developer messages in order. Their places between the turns are lost.
    pub system: Vec<SystemText>,
    /// Turns of the user and the assistant. Two neighbours never have the same role.
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    /// Whether the model may call several tools at once.
    pub parallel: bool,
    pub max_tokens: Option<u32>,
    pub stop: Vec<String>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub effort: Option<Effort>,
    /// The JSON schema that the answer must satisfy.
    pub schema: Option<Schema>,
    /// The caller's name for its end user.
    pub user: Option<String>,
}

/// The text of a system message, or of its parts up to a mark.
#[derive(Debug)]
pub(crate) struct SystemText {
    /// Never only white space.
    pub text: String,
    pub cache: Option<CacheMark>,
}

#[derive(Debug)]
pub(crate) struct Turn {
    pub role: Role,
    /// Never empty.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

#[derive(Debug)]
pub(crate) struct Part {
    pub kind: PartKind,
    pub cache: Option<CacheMark>,
}

impl Part {
    pub(crate) fn is_thought(&self) -> bool {
        matches!(self.kind, PartKind::Thinking { .. } | PartKind::RedactedThinking(_))
    }
}

#[derive(Debug)]
pub(crate) enum PartKind {
    /// Thoughts of a Claude model in the shape of Anthropic, with its signature. The text may be empty.
    Thinking {
        text: String,
        signature: String,
    },
    /// Thoughts that only the model can read.
    RedactedThinking(String),
    /// Never only white space.
    Text(String),
    Image(Image),
    Document(Document),
    ToolUse {
        /// Of at most 64 letters, digits, `_` and `-`.
        id: String,
        name: String,
        /// A JSON object.
        input: Box<RawValue>,
    },
    ToolResult {
        /// As the id of its call.
        id: String,
        /// Texts, images and documents without marks.
        parts: Vec<Part>,
    },
}

#[derive(Debug)]
pub(crate) enum Image {
    Url(String),
    Base64 { media_type: String, data: String },
}

/// A file that the model reads.
#[derive(Debug)]
pub(crate) struct Document {
    pub name: Option<String>,
    pub media_type: String,
    /// In base64.
    pub data: String,
}

#[derive(Debug)]
pub(crate) struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON schema of an object.
    pub parameters: Box<RawValue>,
    /// Whether arguments must satisfy the schema.
    pub strict: bool,
    pub cache: Option<CacheMark>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// The request has no `tool_choice`.
    Default,
    Auto,
    None,
    Required,
    Function(String),
}

/// How much the model should think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

#[derive(Debug)]
pub(crate) struct Schema {
    pub name: String,
    pub schema: Box<RawValue>,
}

impl Conversation {
    /// Reads OpenAI's body of a chat completion.
    ///
    /// # Errors
    /// `Unsupported` if providers with an API of their own cannot express the request. `Refused` if the request is
    /// invalid.
    pub(crate) fn parse(body: &Object) -> Result<Self, Failure> {
        options::refuse_inexpressible(body)?;
        let (system, turns) = messages::parse(body)?;
        Ok(Self {
            system,
            turns,
            tools: options::tools(body)?,
            tool_choice: options::tool_choice(body)?,
            parallel: options::read_member(body, "parallel_tool_calls", "a boolean")?.unwrap_or(true),
            max_tokens: options::max_tokens(body)?,
            stop: options::stop(body)?,
            temperature: options::read_member(body, "temperature", "a number")?,
            top_p: options::read_member(body, "top_p", "a number")?,
            effort: options::effort(body)?,
            schema: options::schema(body)?,
            user: body.get("safety_identifier").or_else(|| body.get("user")),
        })
    }

    /// Whether the conversation ends with results of tools, so that the model continues its turn, and the thoughts before its calls
    /// are missing.
    pub(crate) fn continues_without_thoughts(&self) -> bool {
        let [.., before, last] = self.turns.as_slice() else { return false };
        let has_results = last.parts.iter().any(|part| matches!(part.kind, PartKind::ToolResult { .. }));
        has_results && !before.parts.first().is_some_and(Part::is_thought)
    }

    /// Whether the model must call a tool.
    pub(crate) fn forces_a_tool(&self) -> bool {
        !self.tools.is_empty() && matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Function(_))
    }
}

/// The failure for a request that every provider would refuse.
pub(crate) fn invalid_request(param: impl Into<String>, message: impl Into<String>) -> Failure {
    let kind = Some("invalid_request_error".to_owned());
    let refusal = ProviderRefusal { message: message.into(), kind, param: Some(param.into()), code: None };
    Failure::Refused { status: 400, refusal }
}

/// The failure for a request that OpenAI could serve and this provider cannot.
pub(crate) fn unsupported(param: impl Into<String>, what: impl Into<String>) -> Failure {
    Failure::Unsupported { what: what.into(), param: Some(param.into()) }
}

/// The failure if a request has a file or an image whose type the provider does not read. `takes` names the types that it reads.
pub(crate) fn unreadable(provider: &str, name: Option<&str>, media_type: &str, takes: &str) -> Failure {
    let file = name.map_or_else(|| "a file".to_owned(), |name| format!("the file `{name}`"));
    let what = format!("{provider} cannot read {file} of the type `{media_type}`: it takes {takes} only");
    unsupported("messages", what)
}
