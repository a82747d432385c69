//! Compaction: a conversation becomes a summary, from which the next turn goes on.
//!
//! A request whose input ends in a `compaction_trigger` is answered with one `compaction` item. The client sends it in place of the
//! turns before. Only weir reads its content, so it is the summary itself, written by the model that the request names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::create::CreateResponse;
use super::fields::{Fields, invalid};
use super::item::Item;
use super::{members, view};
use crate::dialects::body::read_object;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// How the content of weir's compaction items begins. The number is the version.
const OWN: &str = "weir:compaction:1:";

/// Asks for the summary. It stands at the end, behind all that a provider has in its prompt cache.
pub(super) const REQUEST: &str = "Your context is about to be cleared. Write a summary from which you can continue this conversation as if \
nothing had been lost. Say what the user asked for, word for word where the wording matters; what was decided and why; what was done, with the names of \
files, functions, commands and values; what failed; what is left to do, and the next step. Do not call any tool. Answer only with the summary.";

/// Stands in front of a summary that the model gets.
const PREFACE: &str = "The conversation before this message was summarised:";

/// The members of a request to compact a conversation.
const MEMBERS: [&str; 8] = [
    "input",
    "instructions",
    "model",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
];

impl CreateResponse {
    /// Whether the request asks for a compaction.
    #[must_use]
    pub fn compacts(&self) -> bool {
        self.input.last().is_some_and(Item::is_trigger)
    }

    /// Reads a body of `POST /v1/responses/compact`: a request for a response that is not stored.
    ///
    /// # Errors
    /// As [`CreateResponse::parse`].
    pub fn parse_to_compact(json: &[u8], now: Timestamp) -> Result<Self, Invalid> {
        let sent = read_object(json)?;
        let fields = Fields::new(&sent, "");
        members::check_known(fields, &MEMBERS)?;
        members::check_length(fields, "prompt_cache_key")?;
        let input = match sent.text("input").unwrap_or("null") {
            "null" => Vec::new(),
            text if text.starts_with('[') => sent
                .get::<Vec<Object>>("input")
                .ok_or_else(|| invalid("input", "expected a string or a list of objects"))?,
            _ => vec![Object::default().with("role", "user").with("content", &sent.get::<String>("input"))],
        };
        let trigger = Object::default().with("type", view::COMPACTION_TRIGGER);
        let input: Vec<Object> = input.into_iter().chain([trigger]).collect();
        Self::parse(&sent.with("input", &input).with("store", &false).to_bytes(), now)
    }

    /// The answer to `POST /v1/responses/compact`, from the response that was made: the messages of the user, and the compaction.
    /// `None` if the model did not finish the summary.
    #[must_use]
    pub fn compacted(&self, response: &Object) -> Option<Object> {
        if response.get::<String>("status").as_deref() != Some("completed") {
            return None;
        }
        let compaction: Vec<Object> = response.get("output")?;
        let is_users = |item: &&Item| item.0.get::<String>("role").as_deref() == Some("user");
        let kept = self.input.iter().filter(is_users).map(|item| item.0.clone());
        let output: Vec<Object> = kept.chain(compaction).collect();
        let head = Object::default().with("id", &self.id).with("object", "response.compaction");
        let head = head.with("created_at", &response.get::<u64>("created_at")).with("output", &output);
        Some(head.with("usage", &response.get::<Object>("usage")))
    }
}

/// The content of a compaction item with a summary.
pub(super) fn content(summary: &str) -> String {
    format!("{OWN}{}", URL_SAFE_NO_PAD.encode(summary))
}

/// The message that stands for the turns before, from the content of a compaction item.
///
/// # Errors
/// If another service made the item: weir cannot read it, and the model would not know the turns before.
pub(super) fn message(content: &str, path: String) -> Result<String, Invalid> {
    let bytes = content.strip_prefix(OWN).and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    let summary = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| Invalid {
        message:
            "The compaction item was not made here, so its content cannot be read. Send the items that it stands for."
                .to_owned(),
        param: Some(path),
        code: Some("invalid_encrypted_content"),
    })?;
    Ok(format!("{PREFACE}\n\n{summary}"))
}

/// The items of earlier turns that a model still needs: those from the last compaction on, and instructions before it.
#[must_use]
pub fn since_compaction(mut items: Vec<Item>) -> Vec<Item> {
    let Some(last) = items.iter().rposition(|item| item.kind() == view::COMPACTION) else { return items };
    let mut index = 0;
    items.retain(|item| {
        index += 1;
        let instructs = matches!(item.0.get::<String>("role").as_deref(), Some("system" | "developer"));
        index > last || instructs || item.may_bring_tools()
    });
    items
}
