//! Writes a conversation as the input of Converse.

use aws_sdk_bedrockruntime::types::{
    AnyToolChoice, AutoToolChoice, ConversationRole, InferenceConfiguration, JsonSchemaDefinition, Message,
    OutputConfig, OutputFormat, OutputFormatStructure, OutputFormatType, SpecificToolChoice, SystemContentBlock, Tool,
    ToolChoice, ToolConfiguration, ToolInputSchema, ToolSpecification,
};
use aws_smithy_types::Document;
use shared::model::provider::{Failure, ProviderRequest};

use super::blocks::BlockWriter;
use super::cache::Points;
use super::{built, document};
use crate::anthropic::family::Family;
use crate::anthropic::sampling::{Sampled, sampled};
use crate::anthropic::thinking::{Thinking, thinking};
use crate::conversation::{self, Conversation, Effort, PartKind, Role, SystemText, Turn, unsupported};

/// The members of Converse and `ConverseStream`. The SDK has a type for each.
pub(super) struct Request {
    pub messages: Option<Vec<Message>>,
    pub system: Option<Vec<SystemContentBlock>>,
    pub inference: InferenceConfiguration,
    pub tools: Option<ToolConfiguration>,
    /// Whether the answer may have only one call. Bedrock cannot keep a model from calling several tools at once. The others are
    /// left out: the model calls them again after the first result.
    pub one_call: bool,
    pub output: Option<OutputConfig>,
    /// Members that only some models have.
    pub additional: Option<Document>,
}

/// # Errors
/// `Unsupported` if Converse cannot express the request. `Refused` if the request is invalid.
pub(super) fn request(call: &ProviderRequest, conversation: &Conversation) -> Result<Request, Failure> {
    let thinking = reasoning(&call.model, conversation)?;
    let sampled = sampling(&call.model, conversation, &thinking);
    let Thinking { thinking, effort } = thinking;
    let points = Points::of(&call.model);
    let system = system(&conversation.system, points)?;
    let mut blocks = BlockWriter { points, documents: 0 };
    let messages = conversation.turns.iter().map(|turn| message(turn, &mut blocks)).collect::<Result<_, _>>()?;
    Ok(Request {
        messages: Some(messages),
        system: (!system.is_empty()).then_some(system),
        inference: inference(conversation, sampled),
        tools: tools(conversation, points)?,
        one_call: !conversation.parallel,
        output: output(conversation, effort)?,
        additional: thinking.map(|thinking| document::of(serde_json::json!({"thinking": thinking}))),
    })
}

pub(super) fn is_claude(model: &str) -> bool {
    model.contains("anthropic.")
}

/// Only for Claude models: others have no common member for it.
fn reasoning(model: &str, conversation: &Conversation) -> Result<Thinking, Failure> {
    // Without a limit the model uses its own, which is above every budget.
    let max_tokens = conversation.max_tokens.unwrap_or(u32::MAX);
    match conversation.effort {
        _ if is_claude(model) => Ok(thinking(Family::of(model), conversation, max_tokens)),
        None | Some(Effort::None) => Ok(Thinking::default()),
        Some(_) => Err(unsupported("reasoning_effort", "this model's reasoning effort cannot be set through Bedrock")),
    }
}

/// Bedrock's temperatures go up to 1. What Claude models take does not depend on who serves them.
fn sampling(model: &str, conversation: &Conversation, thinking: &Thinking) -> Sampled {
    if is_claude(model) {
        return sampled(Family::of(model), conversation, thinking);
    }
    let temperature = conversation.temperature.map(|temperature| temperature.min(1.0));
    Sampled { temperature, top_p: conversation.top_p }
}

fn inference(conversation: &Conversation, sampled: Sampled) -> InferenceConfiguration {
    #[expect(clippy::cast_possible_truncation, reason = "the SDK has single precision here")]
    let narrow = |number: f64| number as f32;
    InferenceConfiguration::builder()
        .set_max_tokens(conversation.max_tokens.map(|tokens| i32::try_from(tokens).unwrap_or(i32::MAX)))
        .set_temperature(sampled.temperature.map(narrow))
        .set_top_p(sampled.top_p.map(narrow))
        .set_stop_sequences((!conversation.stop.is_empty()).then(|| conversation.stop.clone()))
        .build()
}

fn system(texts: &[SystemText], points: Points) -> Result<Vec<SystemContentBlock>, Failure> {
    let mut blocks = Vec::new();
    for SystemText { text, cache } in texts {
        blocks.push(SystemContentBlock::Text(text.clone()));
        if let Some(point) = cache.and_then(|mark| points.behind(mark)) {
            blocks.push(SystemContentBlock::CachePoint(point?));
        }
    }
    Ok(blocks)
}

fn message(turn: &Turn, blocks: &mut BlockWriter) -> Result<Message, Failure> {
    let role = match turn.role {
        Role::User => ConversationRole::User,
        Role::Assistant => ConversationRole::Assistant,
    };
    built(Message::builder().role(role).set_content(Some(blocks.content(&turn.parts)?)).build())
}

fn tools(conversation: &Conversation, points: Points) -> Result<Option<ToolConfiguration>, Failure> {
    use conversation::ToolChoice as Choice;
    if conversation.tools.is_empty() {
        return Ok(None);
    }
    let choice = match &conversation.tool_choice {
        Choice::Default => None,
        Choice::Auto => Some(ToolChoice::Auto(AutoToolChoice::builder().build())),
        Choice::Required => Some(ToolChoice::Any(AnyToolChoice::builder().build())),
        Choice::Function(name) => Some(ToolChoice::Tool(built(SpecificToolChoice::builder().name(name).build())?)),
        // Converse has no such choice. A model without tools calls none.
        Choice::None if !mentions_tools(conversation) => return Ok(None),
        Choice::None => return Err(unsupported("tool_choice", "Bedrock cannot keep a model from calling tools")),
    };
    let mut tools = Vec::new();
    for tool in &conversation.tools {
        tools.push(self::tool(tool)?);
        if let Some(point) = tool.cache.and_then(|mark| points.behind_tool(mark)) {
            tools.push(Tool::CachePoint(point?));
        }
    }
    built(ToolConfiguration::builder().set_tools(Some(tools)).set_tool_choice(choice).build()).map(Some)
}

/// Whether messages mention tools. Converse then requires the tools.
fn mentions_tools(conversation: &Conversation) -> bool {
    let mut parts = conversation.turns.iter().flat_map(|turn| &turn.parts);
    parts.any(|part| matches!(part.kind, PartKind::ToolUse { .. } | PartKind::ToolResult { .. }))
}

fn tool(tool: &conversation::Tool) -> Result<Tool, Failure> {
    let schema = ToolInputSchema::Json(document::of_text(&tool.parameters));
    let specification = ToolSpecification::builder()
        .name(&tool.name)
        .set_description(tool.description.clone())
        .input_schema(schema)
        .set_strict(tool.strict.then_some(true));
    built(specification.build()).map(Tool::ToolSpec)
}

fn output(conversation: &Conversation, effort: Option<&str>) -> Result<Option<OutputConfig>, Failure> {
    let format = conversation.schema.as_ref().map(format).transpose()?;
    if format.is_none() && effort.is_none() {
        return Ok(None);
    }
    Ok(Some(OutputConfig::builder().set_text_format(format).set_effort(effort.map(str::to_owned)).build()))
}

fn format(schema: &conversation::Schema) -> Result<OutputFormat, Failure> {
    let definition = JsonSchemaDefinition::builder().name(&schema.name).schema(schema.schema.get()).build();
    let structure = OutputFormatStructure::JsonSchema(built(definition)?);
    built(OutputFormat::builder().r#type(OutputFormatType::JsonSchema).structure(structure).build())
}
