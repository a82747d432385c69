//! Writes a conversation as the input of Converse.

use aws_sdk_bedrockruntime::types::{
    AnyToolChoice, AutoToolChoice, ContentBlock, ConversationRole, ImageBlock, ImageFormat, ImageSource,
    InferenceConfiguration, JsonSchemaDefinition, Message, OutputConfig, OutputFormat, OutputFormatStructure,
    OutputFormatType, SpecificToolChoice, SystemContentBlock, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
    ToolResultBlock, ToolResultContentBlock, ToolSpecification, ToolUseBlock,
};
use aws_smithy_types::error::operation::BuildError;
use aws_smithy_types::{Blob, Document};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::model::provider::{Failure, ProviderRequest};

use super::document;
use crate::anthropic::thinking::{Thinking, thinking};
use crate::conversation::{self, Conversation, Effort, Image, Part, Role, Turn, invalid_request, unsupported};

/// The members of Converse and `ConverseStream`. The SDK has a type for each.
pub(super) struct Request {
    pub messages: Option<Vec<Message>>,
    pub system: Option<Vec<SystemContentBlock>>,
    pub inference: InferenceConfiguration,
    pub tools: Option<ToolConfiguration>,
    pub output: Option<OutputConfig>,
    /// Members that only some models have.
    pub additional: Option<Document>,
}

/// # Errors
/// `Unsupported` if Converse cannot express the request. `Refused` if the request is invalid.
pub(super) fn request(call: &ProviderRequest, conversation: &Conversation) -> Result<Request, Failure> {
    let Thinking { thinking, effort } = reasoning(&call.model, conversation)?;
    let system = conversation.system.iter().cloned().map(SystemContentBlock::Text).collect::<Vec<_>>();
    Ok(Request {
        messages: Some(conversation.turns.iter().map(message).collect::<Result<_, _>>()?),
        system: (!system.is_empty()).then_some(system),
        inference: inference(conversation),
        tools: tools(conversation)?,
        output: output(conversation, effort)?,
        additional: thinking.map(|thinking| document::of(serde_json::json!({"thinking": thinking}))),
    })
}

/// Only for Claude models: others have no common member for it.
fn reasoning(model: &str, conversation: &Conversation) -> Result<Thinking, Failure> {
    // Without a limit the model uses its own, which is above every budget.
    let max_tokens = conversation.max_tokens.unwrap_or(u32::MAX);
    match conversation.effort {
        None | Some(Effort::None) => Ok(Thinking::default()),
        Some(_) if model.contains("anthropic.") => Ok(thinking(model, conversation, max_tokens)),
        Some(_) => Err(unsupported("reasoning_effort", "this model's reasoning effort cannot be set through Bedrock")),
    }
}

fn inference(conversation: &Conversation) -> InferenceConfiguration {
    #[expect(clippy::cast_possible_truncation, reason = "the SDK has single precision here")]
    let narrow = |number: f64| number as f32;
    InferenceConfiguration::builder()
        .set_max_tokens(conversation.max_tokens.map(|tokens| i32::try_from(tokens).unwrap_or(i32::MAX)))
        .set_temperature(conversation.temperature.map(|temperature| narrow(temperature.min(1.0))))
        .set_top_p(conversation.top_p.map(narrow))
        .set_stop_sequences((!conversation.stop.is_empty()).then(|| conversation.stop.clone()))
        .build()
}

fn message(turn: &Turn) -> Result<Message, Failure> {
    let role = match turn.role {
        Role::User => ConversationRole::User,
        Role::Assistant => ConversationRole::Assistant,
    };
    let content = turn.parts.iter().map(block).collect::<Result<_, _>>()?;
    built(Message::builder().role(role).set_content(Some(content)).build())
}

fn block(part: &Part) -> Result<ContentBlock, Failure> {
    Ok(match part {
        Part::Text(text) => ContentBlock::Text(text.clone()),
        Part::Image(image) => ContentBlock::Image(self::image(image)?),
        Part::ToolUse { id, name, input } => {
            let block = ToolUseBlock::builder().tool_use_id(id).name(name).input(document::of_text(input));
            ContentBlock::ToolUse(built(block.build())?)
        }
        Part::ToolResult { id, parts } => {
            let content = parts.iter().map(result).collect::<Result<_, _>>()?;
            ContentBlock::ToolResult(built(
                ToolResultBlock::builder().tool_use_id(id).set_content(Some(content)).build(),
            )?)
        }
    })
}

fn result(part: &Part) -> Result<ToolResultContentBlock, Failure> {
    match part {
        Part::Text(text) => Ok(ToolResultContentBlock::Text(text.clone())),
        Part::Image(image) => Ok(ToolResultContentBlock::Image(self::image(image)?)),
        Part::ToolUse { .. } | Part::ToolResult { .. } => {
            Err(invalid_request("messages", "a tool's result has texts and images only"))
        }
    }
}

fn image(image: &Image) -> Result<ImageBlock, Failure> {
    let Image::Base64 { media_type, data } = image else {
        return Err(unsupported("messages", "Bedrock fetches no images; send a data URL"));
    };
    let format = match media_type.as_str() {
        "image/png" => ImageFormat::Png,
        "image/jpeg" => ImageFormat::Jpeg,
        "image/gif" => ImageFormat::Gif,
        "image/webp" => ImageFormat::Webp,
        other => return Err(unsupported("messages", format!("Bedrock takes no images of the type `{other}`"))),
    };
    let bytes =
        STANDARD.decode(data).map_err(|_| invalid_request("messages", "the data URL of an image is not base64"))?;
    built(ImageBlock::builder().format(format).source(ImageSource::Bytes(Blob::new(bytes))).build())
}

fn tools(conversation: &Conversation) -> Result<Option<ToolConfiguration>, Failure> {
    use conversation::ToolChoice as Choice;
    if conversation.tools.is_empty() {
        return Ok(None);
    }
    if !conversation.parallel {
        return Err(unsupported(
            "parallel_tool_calls",
            "Bedrock cannot keep a model from calling several tools at once",
        ));
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
    let tools = conversation.tools.iter().map(tool).collect::<Result<_, _>>()?;
    built(ToolConfiguration::builder().set_tools(Some(tools)).set_tool_choice(choice).build()).map(Some)
}

/// Whether messages mention tools. Converse then requires the tools.
fn mentions_tools(conversation: &Conversation) -> bool {
    let mut parts = conversation.turns.iter().flat_map(|turn| &turn.parts);
    parts.any(|part| matches!(part, Part::ToolUse { .. } | Part::ToolResult { .. }))
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

/// The SDK checks at run time that required members are set. They are set here.
fn built<T>(result: Result<T, BuildError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Unsupported { what: error.to_string(), param: None })
}
