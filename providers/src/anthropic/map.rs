//! Writes a conversation as a request of the Messages API.

use shared::model::provider::ProviderRequest;

use super::thinking::{Thinking, thinking};
use super::wire::{Block, Format, Message, Metadata, OutputConfig, Request, Source, Tool, ToolChoice};
use crate::conversation::{self, Conversation, Image, Part, Role, Turn};

/// Anthropic requires a limit of output tokens. weir normally sets one before it calls.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

pub(super) fn request<'a>(call: &'a ProviderRequest, conversation: &'a Conversation) -> Request<'a> {
    let max_tokens = conversation.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let Thinking { thinking, effort } = thinking(&call.model, conversation, max_tokens);
    let format = conversation.schema.as_ref().map(|schema| Format { kind: "json_schema", schema: &schema.schema });
    Request {
        model: &call.model,
        max_tokens,
        system: Some(conversation.system.join("\n\n")).filter(|text| !text.is_empty()),
        messages: conversation.turns.iter().map(message).collect(),
        tools: conversation.tools.iter().map(tool).collect(),
        tool_choice: tool_choice(conversation),
        stop_sequences: &conversation.stop,
        temperature: temperature(conversation.temperature),
        top_p: conversation.top_p,
        thinking,
        output_config: (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format }),
        metadata: conversation.user.as_deref().map(|user_id| Metadata { user_id }),
        stream: call.stream,
    }
}

/// OpenAI's temperatures go up to 2, Anthropic's up to 1. The default is 1 and newer models accept no other value, so 1
/// is not sent.
fn temperature(temperature: Option<f64>) -> Option<f64> {
    temperature.filter(|temperature| *temperature < 1.0)
}

fn message(turn: &Turn) -> Message<'_> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Message { role, content: turn.parts.iter().map(block).collect() }
}

fn block(part: &Part) -> Block<'_> {
    match part {
        Part::Text(text) => Block::Text { text },
        Part::Image(Image::Url(url)) => Block::Image { source: Source::Url { url } },
        Part::Image(Image::Base64 { media_type, data }) => Block::Image { source: Source::Base64 { media_type, data } },
        Part::ToolUse { id, name, input } => Block::ToolUse { id, name, input },
        Part::ToolResult { id, parts } => {
            Block::ToolResult { tool_use_id: id, content: parts.iter().map(block).collect() }
        }
    }
}

fn tool(tool: &conversation::Tool) -> Tool<'_> {
    Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: &tool.parameters,
        strict: tool.strict,
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
