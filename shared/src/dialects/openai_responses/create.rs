//! The body of a request for a response.

use std::collections::{HashMap, HashSet};

use super::fields::{Fields, TextOrList, invalid, not_one_of};
use super::item::{Item, parse_items, user_text};
use super::item_id::{NewIds, new_response_id};
use super::members;
use super::metadata::metadata;
use super::settings;
use super::tools::Tools;
use crate::dialects::body::{missing, read_at, read_object};
use crate::dialects::parts::Name;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// A checked body of `POST /v1/responses`.
#[derive(Debug, Clone)]
pub struct CreateResponse {
    /// The id of the response if one is made. Ids of its items are made from it.
    pub id: String,
    /// The body as it was sent.
    pub object: Object,
    /// Empty only if the body was read by [`CreateResponse::parse_to_count`].
    pub model: String,
    pub stream: bool,
    pub background: bool,
    /// Whether the response is stored. The default is yes.
    pub store: bool,
    pub previous_response_id: Option<String>,
    /// Id of the conversation that the response belongs to.
    pub conversation: Option<String>,
    /// Normalised by [`parse_items`]. A string becomes one message of the user. May contain references.
    pub input: Vec<Item>,
    pub(super) instructions: Option<String>,
    /// Members of the chat call other than the messages and those about tools.
    pub(super) settings: Object,
    /// Those of the member `tools`. Items of the input and of earlier turns may bring more.
    tools: Tools,
}

/// The values of `include`. Only log probabilities have an effect: the others belong to tools that weir does not have.
const INCLUDABLE: [&str; 8] = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

impl CreateResponse {
    /// Reads and checks a body. The response and items without an id get ids that are made from `now`.
    ///
    /// `truncation` is only echoed: weir never shortens the input, so `auto` acts as `disabled`. `max_tool_calls` is
    /// only echoed, because it limits built-in tools and weir has none. Streams are not obfuscated.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a member is missing, unknown, has the wrong type or is not supported. The
    /// error names the path.
    pub fn parse(json: &[u8], now: Timestamp) -> Result<Self, Invalid> {
        let object = read_object(json)?;
        let fields = Fields::new(&object, "");
        members::check_supported(fields)?;
        members::check(fields)?;
        let model = fields.required::<Name>("model")?.0;
        Self::read(object, model, now)
    }

    /// Reads a body that was accepted before, maybe by an earlier version of weir, which accepted unknown members.
    ///
    /// # Errors
    /// As [`CreateResponse::parse`].
    pub(super) fn parse_stored(object: Object, now: Timestamp) -> Result<Self, Invalid> {
        let fields = Fields::new(&object, "");
        members::check_supported(fields)?;
        let model = fields.required::<Name>("model")?.0;
        Self::read(object, model, now)
    }

    /// Reads a body of `POST /v1/responses/input_tokens`, which need not name a model.
    ///
    /// # Errors
    /// As [`CreateResponse::parse`].
    pub fn parse_to_count(json: &[u8], now: Timestamp) -> Result<Self, Invalid> {
        let object = read_object(json)?;
        let fields = Fields::new(&object, "");
        members::check_supported(fields)?;
        members::check(fields)?;
        let model = fields.optional::<Name>("model")?.map_or_else(String::new, |name| name.0);
        Self::read(object, model, now)
    }

    fn read(object: Object, model: String, now: Timestamp) -> Result<Self, Invalid> {
        let fields = Fields::new(&object, "");
        let flag = |name, default| fields.optional(name).map(|value| value.unwrap_or(default));
        let include = read_include(fields)?;
        let with_logprobs = include.iter().any(|name| name == "message.output_text.logprobs");
        let settings = settings::read(fields, with_logprobs)?;
        let tools: Vec<Object> = fields.optional("tools")?.unwrap_or_default();
        let id = new_response_id(now);
        check_echoed(fields)?;
        let read = Self {
            model,
            stream: flag("stream", false)?,
            background: flag("background", false)?,
            store: flag("store", true)?,
            previous_response_id: fields.optional::<Name>("previous_response_id")?.map(|name| name.0),
            conversation: conversation(fields)?,
            input: input(fields, NewIds::InputOf(&id))?,
            instructions: fields.optional("instructions")?,
            settings,
            tools: Tools::read(&tools, "tools")?,
            id,
            object,
        };
        read.check_together()?;
        Ok(read)
    }

    fn check_together(&self) -> Result<(), Invalid> {
        if self.background && !self.store {
            return Err(invalid("background", "a background response must be stored, so 'store' cannot be false"));
        }
        let continues = self.previous_response_id.is_some() || self.conversation.is_some();
        if self.previous_response_id.is_some() && self.conversation.is_some() {
            return Err(invalid("previous_response_id", "it cannot be used together with 'conversation'"));
        }
        let triggers = self.input.iter().position(Item::is_trigger);
        if let Some(index) = triggers.filter(|index| index + 1 < self.input.len()) {
            return Err(invalid(format!("input[{index}]"), "a compaction trigger must be the last item of the input"));
        }
        if self.input.iter().all(Item::is_trigger) && !continues {
            return Err(missing("input"));
        }
        Ok(())
    }

    /// The tools of the request, and those that its items and the items of earlier turns bring.
    pub(super) fn tools(&self, context: &[Item]) -> Tools {
        self.tools.with_those_of(context.iter().chain(&self.input))
    }

    /// The bytes of the request after the items of earlier turns.
    #[must_use]
    pub fn bytes(&self, context: &[Item]) -> usize {
        let items = context.iter().chain(&self.input).map(|item| item.0.bytes()).sum::<usize>();
        let other = self.object.members().filter(|(name, _)| *name != "input");
        items + other.map(|(name, text)| name.len() + text.len()).sum::<usize>()
    }

    /// The ids of references in the input that no item of the input has.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        let (references, items): (Vec<&Item>, Vec<&Item>) = self.input.iter().partition(|item| item.is_reference());
        let own: HashSet<String> = items.into_iter().map(Item::id).collect();
        references.into_iter().map(Item::id).filter(|id| !own.contains(id)).collect()
    }

    /// # Errors
    /// If a reference has no item.
    pub fn check_references(&self) -> Result<(), Invalid> {
        let Some(unknown) = self.references().into_iter().next() else { return Ok(()) };
        let index = self.input.iter().position(|item| item.is_reference() && item.id() == unknown).unwrap_or_default();
        let message = format!(
            "Item with id '{unknown}' not found: no item of the input, of the turns before it or of a stored response has this id."
        );
        Err(Invalid { message, param: Some(format!("input[{index}].id")), code: Some("item_not_found") })
    }

    /// Replaces references by the `known` items with the same id.
    pub fn resolve(&mut self, known: &[Item]) {
        let by_id: HashMap<String, &Item> = known.iter().rev().map(|item| (item.id(), item)).collect();
        for item in self.input.iter_mut().filter(|item| item.is_reference()) {
            if let Some(&found) = by_id.get(&item.id()) {
                *item = found.clone();
            }
        }
    }
}

fn input(fields: Fields<'_>, ids: NewIds<'_>) -> Result<Vec<Item>, Invalid> {
    let Some(text) = fields.text("input") else { return Ok(Vec::new()) };
    match read_at::<TextOrList>(text.as_bytes(), "input")? {
        TextOrList::Text(text) => Ok(vec![user_text(&text, ids)]),
        TextOrList::List(_) => parse_items(text.as_bytes(), "input", ids),
    }
}

fn conversation(fields: Fields<'_>) -> Result<Option<String>, Invalid> {
    let Some(text) = fields.text("conversation") else { return Ok(None) };
    if text.starts_with('{') {
        let object: Object = fields.required("conversation")?;
        return Ok(Some(Fields::new(&object, "conversation").required::<Name>("id")?.0));
    }
    Ok(Some(fields.required::<Name>("conversation")?.0))
}

/// Reads `include`, and checks its names.
fn read_include(fields: Fields<'_>) -> Result<Vec<String>, Invalid> {
    let names: Vec<String> = fields.optional("include")?.unwrap_or_default();
    check_include(&names)?;
    Ok(names)
}

/// Checks the names of `include`. For stored items they have no effect: items are returned with all their members.
///
/// # Errors
/// If a name is not one of OpenAI's.
pub fn check_include(names: &[impl AsRef<str>]) -> Result<(), Invalid> {
    for (index, name) in names.iter().map(AsRef::as_ref).enumerate() {
        if !INCLUDABLE.contains(&name) {
            return Err(not_one_of(format!("include[{index}]"), name, &INCLUDABLE));
        }
    }
    Ok(())
}

/// Checks the members that are only echoed in the response.
fn check_echoed(fields: Fields<'_>) -> Result<(), Invalid> {
    fields.one_of("truncation", &["auto", "disabled"])?;
    fields.optional::<u64>("max_tool_calls")?;
    if let Some(options) = fields.optional::<Object>("stream_options")? {
        Fields::new(&options, "stream_options").optional::<bool>("include_obfuscation")?;
    }
    metadata(fields.object()).map(|_| ())
}
