//! Writes a conversation as a request of the Messages API.

use shared::model::provider::{Failure, ProviderRequest};

use super::blocks::{cache_control, content};
use super::family::Family;
use super::sampling::{Sampled, sampled};
use super::thinking::{Thinking, thinking};
use super::user::user_id;
use super::wire::{Block, Format, Marked, Message, Metadata, OutputConfig, Request, System, Tool, ToolChoice};
use crate::conversation::{self, Conversation, Role, SystemText, Turn};

/// The limit of output tokens, which Anthropic requires, for a call whose model has none.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// # Errors
/// `Unsupported` if the Messages API cannot express the request. `Refused` if the request is invalid.
pub(super) fn request<'a>(call: &'a ProviderRequest, conversation: &'a Conversation) -> Result<Request<'a>, Failure> {
    let family = Family::of(&call.model);
    let max_tokens = max_tokens(call, conversation);
    let thinking = thinking(family, conversation, max_tokens);
    let Sampled { temperature, top_p } = sampled(family, conversation, &thinking);
    let Thinking { thinking, effort } = thinking;
    let format = conversation.schema.as_ref().map(|schema| Format { kind: "json_schema", schema: &schema.schema });
    Ok(Request {
        model: &call.model,
        max_tokens,
        system: system(&conversation.system),
        messages: conversation.turns.iter().map(message).collect::<Result<_, _>>()?,
        tools: conversation.tools.iter().map(tool).collect(),
        tool_choice: tool_choice(conversation),
        stop_sequences: &conversation.stop,
        temperature,
        top_p,
        thinking,
        output_config: (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format }),
        metadata: conversation.user.as_deref().map(|user| Metadata { user_id: user_id(user) }),
        stream: call.stream,
    })
}

/// The caller's limit, else the most that the model can write.
fn max_tokens(call: &ProviderRequest, conversation: &Conversation) -> u32 {
    let ceiling = call.max_output_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX));
    conversation.max_tokens.or(ceiling).unwrap_or(DEFAULT_MAX_TOKENS)
}

/// One text, or blocks if one of them has a mark.
fn system(texts: &[SystemText]) -> Option<System<'_>> {
    if texts.is_empty() {
        return None;
    }
    if texts.iter().all(|text| text.cache.is_none()) {
        let texts: Vec<_> = texts.iter().map(|text| text.text.as_str()).collect();
        return Some(System::Text(texts.join("\n\n")));
    }
    Some(System::Blocks(texts.iter().map(system_block).collect()))
}

fn system_block(SystemText { text, cache }: &SystemText) -> Marked<'_> {
    Marked { block: Block::Text { text }, cache_control: cache.map(cache_control) }
}

fn message(turn: &Turn) -> Result<Message<'_>, Failure> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Ok(Message { role, content: content(&turn.parts)? })
}

fn tool(tool: &conversation::Tool) -> Tool<'_> {
    Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: &tool.parameters,
        strict: tool.strict,
        cache_control: tool.cache.map(cache_control),
    }
}

fn tool_choice(conversation: &Conversation) -> Option<ToolChoice<'_>> {
    use conversation::ToolChoice as Choice;
    if conversation.tools.is_empty() {
        return None;
    }
    let (kind, name) = match &conversation.tool_choice {
        Choice::Default if conversation.parallel => return None,
        Choice::Default | Choice::Auto => ("auto", None),
        Choice::None => ("none", None),
        Choice::Required => ("any", None),
        Choice::Function(name) => ("tool", Some(name.as_str())),
    };
    Some(ToolChoice { kind, name, disable_parallel_tool_use: !conversation.parallel && kind != "none" })
}
