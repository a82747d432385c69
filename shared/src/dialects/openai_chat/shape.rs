//! The fields of request bodies that weir reads. Providers check all others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Body;
use super::media::Pieces;
use crate::dialects::input_files::InputFiles;
use crate::dialects::parts::{Choices, Content, Count, Items, Name, TextOrTokens};
use crate::dialects::walk::Noted;
use crate::model::form::Uploads;
use crate::model::object::Object;

#[derive(Deserialize)]
pub(super) struct ChatShape {
    model: Name,
    messages: Items<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<Count>,
    #[serde(default)]
    max_completion_tokens: Option<Count>,
    #[serde(default)]
    n: Option<Choices>,
    #[serde(default, rename = "temperature")]
    _temperature: Option<f64>,
    #[serde(default, rename = "top_p")]
    _top_p: Option<f64>,
    #[serde(default)]
    tools: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    functions: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    prediction: Option<Box<RawValue>>,
}

impl ChatShape {
    pub(super) fn into_body(self, object: Object, length: usize) -> Body {
        let parts = || self.messages.0.iter().flat_map(|message| &message.content.0);
        let media_bytes: usize = parts().filter(|part| part.is_media()).map(|part| part.length).sum();
        Body {
            object,
            uploads: Uploads::default(),
            files: InputFiles::default(),
            model: self.model.0,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false)),
            choices: self.n.map_or(1, |n| n.0),
            // Both are passed on, and each provider reads one of them.
            max_output_tokens: self.max_completion_tokens.max(self.max_tokens).map(|count| count.0),
            text_bytes: (length - media_bytes.min(length)) as u64,
            images: parts().filter(|part| part.is_image()).count() as u64,
            other_media: parts().filter(|part| part.is_media() && !part.is_image()).count() as u64,
            contexts: 1,
            has_tools: self.tools.is_some() || self.functions.is_some(),
            has_prediction: self.prediction.is_some(),
            pieces: Pieces::default(),
            noted: Noted::default(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct CompletionShape {
    model: Name,
    prompt: TextOrTokens,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<Count>,
    #[serde(default)]
    n: Option<Choices>,
    #[serde(default)]
    best_of: Option<Choices>,
    #[serde(default)]
    echo: Option<bool>,
}

/// OpenAI's default limit of output tokens for legacy completions. weir sends it to other providers.
pub(crate) const LEGACY_MAX_TOKENS: u64 = 16;

impl CompletionShape {
    pub(super) fn into_body(self, object: Object, length: usize) -> Body {
        let each = self.n.map_or(1, |n| n.0).max(self.best_of.map_or(1, |best| best.0));
        Body {
            object,
            uploads: Uploads::default(),
            files: InputFiles::default(),
            model: self.model.0,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false)),
            // Every prompt of a list gets its own answers.
            choices: each.saturating_mul(self.prompt.items.max(1)),
            max_output_tokens: Some(self.max_tokens.map_or(LEGACY_MAX_TOKENS, |count| count.0)),
            text_bytes: length as u64,
            images: 0,
            other_media: 0,
            contexts: self.prompt.items.max(1),
            has_tools: false,
            has_prediction: self.echo.unwrap_or(false),
            pieces: Pieces::default(),
            noted: Noted::default(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct EmbeddingShape {
    model: Name,
    #[serde(rename = "input")]
    _input: TextOrTokens,
    #[serde(default, rename = "dimensions")]
    _dimensions: Option<Count>,
    #[serde(default, rename = "encoding_format")]
    _encoding_format: Option<EncodingFormat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    Float,
    Base64,
}

impl EmbeddingShape {
    pub(super) fn into_body(self, object: Object, length: usize) -> Body {
        input_only(self.model.0, object, length)
    }
}

#[derive(Deserialize)]
pub(super) struct ModerationShape {
    #[serde(default)]
    model: Option<Name>,
    #[serde(rename = "input")]
    _input: Content,
}

/// OpenAI's default when a moderation names no model.
const DEFAULT_MODERATION_MODEL: &str = "omni-moderation-latest";

impl ModerationShape {
    pub(super) fn into_body(self, object: Object, length: usize) -> Body {
        let model = self.model.map_or_else(|| DEFAULT_MODERATION_MODEL.to_owned(), |model| model.0);
        input_only(model, object, length)
    }
}

pub(super) fn input_only(model: String, object: Object, length: usize) -> Body {
    Body {
        object,
        uploads: Uploads::default(),
        files: InputFiles::default(),
        model,
        stream: false,
        include_usage: false,
        choices: 1,
        max_output_tokens: Some(0),
        text_bytes: length as u64,
        images: 0,
        other_media: 0,
        contexts: 1,
        has_tools: false,
        has_prediction: false,
        pieces: Pieces::default(),
        noted: Noted::default(),
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "role")]
    _role: Name,
    #[serde(default)]
    content: Content,
}

#[cfg(test)]
mod tests {
    use crate::dialects::openai_chat::Body;
    use crate::model::provider::Endpoint;

    #[track_caller]
    fn refused(endpoint: Endpoint, json: &str, param: &str, message: &str) {
        let error = Body::parse(endpoint, json.as_bytes()).unwrap_err();
        assert_eq!((error.param.as_deref().unwrap_or_default(), error.message.as_str()), (param, message));
    }

    #[test]
    fn says_which_field_is_wrong() {
        let chat = Endpoint::ChatCompletions;
        refused(
            chat,
            r#"{"messages":[]}"#,
            "messages",
            "Invalid value for 'messages': it must have at least one element.",
        );
        refused(chat, r#"{"messages":[{"role":"user"}]}"#, "model", "Missing required parameter: 'model'.");
        refused(chat, r#"{"model":"m"}"#, "messages", "Missing required parameter: 'messages'.");
        refused(
            chat,
            r#"{"model":"m","messages":[{"content":"x"}]}"#,
            "messages[0].role",
            "Missing required parameter: 'messages[0].role'.",
        );
        refused(
            chat,
            r#"{"model":"m","messages":[{"role":"user","content":5}]}"#,
            "messages[0].content",
            "Invalid value for 'messages[0].content': invalid type: integer `5`, expected a string or a list of content parts.",
        );
        refused(
            chat,
            r#"{"model":7,"messages":[{"role":"user"}]}"#,
            "model",
            "Invalid value for 'model': invalid type: integer `7`, expected a string.",
        );
        refused(
            chat,
            r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#,
            "stream",
            "Invalid value for 'stream': invalid type: string \"yes\", expected a boolean.",
        );
        refused(
            chat,
            r#"{"model":"m","messages":[{"role":"user"}],"max_tokens":0}"#,
            "max_tokens",
            "Invalid value for 'max_tokens': 0 is below the minimum of 1.",
        );
        refused(
            Endpoint::Embeddings,
            r#"{"model":"m","input":[]}"#,
            "input",
            "Invalid value for 'input': it must not be empty.",
        );
        refused(
            Endpoint::Embeddings,
            r#"{"model":"m","input":"x","encoding_format":"hex"}"#,
            "encoding_format",
            "Invalid value for 'encoding_format': unknown variant `hex`, expected `float` or `base64`.",
        );
        refused(
            chat,
            "[1]",
            "",
            "The request body must be a JSON object: invalid type: sequence, expected a JSON object at line 1 column 0.",
        );
    }

    #[test]
    fn lists_have_a_longest_length() {
        let messages = vec![r#"{"role":"user"}"#; 5_001].join(",");
        let reason = "Invalid value for 'messages': it has 5001 elements, expected at most 5000.";
        refused(Endpoint::ChatCompletions, &format!(r#"{{"model":"m","messages":[{messages}]}}"#), "messages", reason);
        let texts = vec![r#""a""#; 2_049].join(",");
        for (endpoint, name) in [(Endpoint::Embeddings, "input"), (Endpoint::Completions, "prompt")] {
            let reason = format!("Invalid value for '{name}': it has 2049 inputs, expected at most 2048.");
            refused(endpoint, &format!(r#"{{"model":"m","{name}":[{texts}]}}"#), name, &reason);
        }
        let tokens = vec!["1"; 9_000].join(",");
        assert!(Body::parse(Endpoint::Embeddings, format!(r#"{{"model":"m","input":[{tokens}]}}"#).as_bytes()).is_ok());
    }

    #[test]
    fn media_is_counted_apart_from_text() {
        let text = r#"{"type":"text","text":"what is this"}"#;
        let image =
            format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, "A".repeat(9_000));
        let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{text},{image}]}}]}}"#);
        let body = Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap();
        assert_eq!((body.images, body.text_bytes), (1, (json.len() - image.len()) as u64));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let json = br#"{"model":"m","messages":[{"role":"assistant","content":null}],"stream":null,"n":null,"max_tokens":null}"#;
        let body = Body::parse(Endpoint::ChatCompletions, json).unwrap();
        assert_eq!((body.stream, body.choices, body.max_output_tokens), (false, 1, None));
    }

    #[test]
    fn every_prompt_of_a_list_is_answered() {
        let json = br#"{"model":"m","prompt":["a","b"],"n":3,"best_of":4}"#;
        let body = Body::parse(Endpoint::Completions, json).unwrap();
        assert_eq!((body.choices, body.max_output_tokens), (8, Some(16)));
    }

    #[test]
    fn embeds_strings_and_tokens_in_every_form() {
        for input in [r#""a""#, r#"["a","b"]"#, "[1,2]", "[[1],[2,3]]"] {
            let json = format!(r#"{{"model":"m","input":{input}}}"#);
            assert!(Body::parse(Endpoint::Embeddings, json.as_bytes()).is_ok(), "{input}");
        }
    }
}
