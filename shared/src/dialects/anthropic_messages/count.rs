//! Counts the tokens of a request without asking a model.

use std::collections::HashMap;

use serde_json::Value;

use crate::dialects::body::{read, read_object};
use crate::dialects::input_files::{Dialect, InputFiles};
use crate::dialects::parts::Name;
use crate::dialects::tokens::count_text;
use crate::model::file::File;
use crate::model::invalid::Invalid;
use crate::model::media_type::is_text;
use crate::model::object::Object;

/// Tokens around the text of a message, for its role and its ends.
const PER_MESSAGE: u64 = 4;
/// Anthropic's count for an image of about a megapixel, the largest that it does not scale down.
const IMAGE: u64 = 1_600;
/// A page of a PDF has some 2,000 tokens, and some 50 KB in base64.
const DOCUMENT_BYTES_PER_TOKEN: u64 = 25;
/// Of English text.
const TEXT_BYTES_PER_TOKEN: u64 = 4;

/// A request for the number of its tokens: a request for a message without `max_tokens`.
#[derive(Debug, Clone)]
pub struct CountTokens {
    pub model: String,
    object: Object,
    /// The uploaded files that the body names.
    pub files: InputFiles,
}

impl CountTokens {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// If the body is no JSON object, or has no model or no messages.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        #[derive(serde::Deserialize)]
        struct Shape {
            model: Name,
            #[serde(rename = "messages")]
            _messages: Vec<Object>,
        }
        let object = read_object(json)?;
        let shape: Shape = read(json)?;
        let files = InputFiles::named(Dialect::Messages, &object);
        Ok(Self { model: shape.model.0, object, files })
    }

    /// Takes the uploaded files that the body names, by their ids.
    ///
    /// # Errors
    /// If one is missing, if they are too large together, or if a block wants another type of file.
    pub fn take_files(&mut self, found: HashMap<String, File>) -> Result<(), Invalid> {
        self.files.found(Dialect::Messages, found).map(drop)
    }

    /// The tokens, about: the text as OpenAI's models split it, tools as JSON, an image 1,600, a document by its bytes, an uploaded text a
    /// token for four bytes.
    #[must_use]
    pub fn count(&self) -> u64 {
        let messages: Vec<Value> = self.object.get("messages").unwrap_or_default();
        let system: Value = self.object.get("system").unwrap_or_default();
        let tools = self.object.text("tools").map_or(0, count_text);
        let messages = messages.iter().map(|message| PER_MESSAGE + self.content(&message["content"])).sum::<u64>();
        messages + self.content(&system) + tools
    }

    fn content(&self, content: &Value) -> u64 {
        match content {
            Value::String(text) => count_text(text),
            Value::Array(blocks) => blocks.iter().map(|block| self.block(block)).sum(),
            _ => 0,
        }
    }

    fn block(&self, block: &Value) -> u64 {
        let text = |name: &str| block[name].as_str().map_or(0, count_text);
        match block["type"].as_str().unwrap_or_default() {
            "image" => IMAGE,
            "document" => self.document(&block["source"]),
            "tool_use" => text("name") + count_text(&block["input"].to_string()),
            "tool_result" | "search_result" => self.content(&block["content"]),
            _ => text("text") + text("thinking"),
        }
    }

    fn document(&self, source: &Value) -> u64 {
        match (&source["data"], source["file_id"].as_str().and_then(|id| self.files.file(id))) {
            (Value::String(data), _) if source["type"] == "text" => count_text(data),
            (Value::String(data), _) => data.len() as u64 / DOCUMENT_BYTES_PER_TOKEN,
            (_, Some(file)) if is_text(&file.media_type) => file.bytes / TEXT_BYTES_PER_TOKEN,
            // Base64 has four letters for three bytes.
            (_, Some(file)) => file.bytes.saturating_mul(4) / 3 / DOCUMENT_BYTES_PER_TOKEN,
            _ => self.content(&source["content"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_and_image_counts() {
        let count = |body: &str| CountTokens::parse(body.as_bytes()).map(|request| request.count());
        let hello = r#"{"model":"m","messages":[{"role":"user","content":"Hello there"}]"#;
        assert_eq!(count(&format!("{hello}}}")).unwrap(), 4 + 2);
        let system = r#""system":[{"type":"text","text":"Be brief"}]"#;
        assert_eq!(count(&format!("{hello},{system}}}")).unwrap(), 4 + 2 + 2);
        let blocks = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{}},{"type":"tool_result","content":[{"type":"text","text":"Hello"}]},{"type":"document","source":{"type":"base64","data":"AAAAAAAAAAAAAAAAAAAAAAAAA"}}]}]}"#;
        assert_eq!(count(blocks).unwrap(), 4 + IMAGE + 1 + 1);
        assert_eq!(count("{}").unwrap_err().param.as_deref(), Some("model"));
    }
}
