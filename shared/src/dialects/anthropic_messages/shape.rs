//! The fields of a request that weir reads. Providers check all others.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::dialects::body::read;
use crate::dialects::parts::{Items, Name};
use crate::model::invalid::Invalid;

/// What decides how a call is run and what it can cost.
pub(in crate::dialects) struct Measured {
    pub model: String,
    pub stream: bool,
    pub max_tokens: u64,
    pub media: Media,
    pub has_tools: bool,
}

/// Images and documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::dialects) struct Media {
    /// Their bytes in the request.
    pub bytes: usize,
    pub images: u64,
    /// Documents whose text is not in the request as text.
    pub others: u64,
}

#[derive(Deserialize)]
struct MessagesShape {
    model: Name,
    /// 0 asks for nothing but to store the input.
    max_tokens: u64,
    messages: Items<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    thread: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "role")]
    _role: Name,
    content: Content,
}

/// Reads and checks a request.
///
/// # Errors
/// If a field is missing or has the wrong type: the error names its path. If the request goes on with a thread: Anthropic keeps
/// threads for each of its keys, and all tenants share one; and a short request would stand for a long conversation.
pub(in crate::dialects) fn measure(json: &[u8]) -> Result<Measured, Invalid> {
    let shape: MessagesShape = read(json)?;
    if shape.thread.is_some() {
        let message = "thread: not supported; send the whole conversation in 'messages'.".to_owned();
        return Err(Invalid { message, param: Some("thread".to_owned()), code: Some("thread_unsupported_request") });
    }
    Ok(Measured {
        model: shape.model.0,
        stream: shape.stream.unwrap_or(false),
        max_tokens: shape.max_tokens,
        media: shape.messages.0.iter().fold(Media::default(), |sum, message| sum.plus(message.content.0)),
        has_tools: shape.tools.is_some(),
    })
}

impl Media {
    fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, images: self.images + other.images, others: self.others + other.others }
    }
}

/// The media in a text or a list of blocks.
struct Content(Media);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().starts_with('"') {
            return Ok(Self(Media::default()));
        }
        let wrong = |_| serde::de::Error::custom("expected a string or a list of blocks, objects with a `type`");
        let blocks: Vec<Block> = serde_json::from_str(text.get()).map_err(wrong)?;
        Ok(Self(blocks.iter().fold(Media::default(), |sum, block| sum.plus(block.0))))
    }
}

/// The media in a block. The results of a tool have blocks of their own.
struct Block(Media);

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head {
            r#type: String,
            #[serde(default)]
            content: Option<Box<RawValue>>,
            #[serde(default)]
            source: Option<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Source {
            r#type: String,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let bytes = text.get().len();
        let source = || serde_json::from_str::<Source>(head.source.as_ref()?.get()).ok().map(|source| source.r#type);
        Ok(Self(match head.r#type.as_str() {
            "image" => Media { bytes, images: 1, others: 0 },
            "document" if source().as_deref() == Some("text") => Media::default(),
            // Its content is not here. A title and a context are texts that the model reads.
            "document" if source().as_deref() == Some("file") => Media { bytes: 0, images: 0, others: 1 },
            "document" | "container_upload" => Media { bytes, images: 0, others: 1 },
            "tool_result" => match head.content {
                Some(content) => serde_json::from_str::<Content>(content.get()).map_err(serde::de::Error::custom)?.0,
                None => Media::default(),
            },
            _ => Media::default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &str) -> Result<Measured, Invalid> {
        measure(format!(r#"{{"model":"m",{members}}}"#).as_bytes())
    }

    #[test]
    fn media_is_counted_also_in_results_of_tools() {
        let image = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#;
        let pdf = r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}"#;
        let text = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a"}}"#;
        let result =
            format!(r#"{{"type":"tool_result","tool_use_id":"a","content":[{image},{{"type":"text","text":"a"}}]}}"#);
        let members = format!(
            r#""max_tokens":9,"tools":[],"messages":[{{"role":"user","content":"a"}},{{"role":"user","content":[{image},{pdf},{text},{result}]}}]"#
        );
        let measured = of(&members).unwrap();
        let expected = Media { bytes: 2 * image.len() + pdf.len(), images: 2, others: 1 };
        assert_eq!((measured.media, measured.max_tokens, measured.has_tools), (expected, 9, true));
    }

    /// The file says how long its content is. What else the block says is text of the request.
    #[test]
    fn a_named_document_stays_in_the_text() {
        let named = r#"{"type":"document","source":{"type":"file","file_id":"file-a"},"title":"t","context":"c"}"#;
        let members = format!(r#""max_tokens":9,"messages":[{{"role":"user","content":[{named}]}}]"#);
        assert_eq!(of(&members).unwrap().media, Media { bytes: 0, images: 0, others: 1 });
    }

    #[test]
    fn errors_name_the_path() {
        for (members, param) in [
            (r#""messages":[{"role":"user","content":"a"}]"#, "max_tokens"),
            (r#""max_tokens":1"#, "messages"),
            (r#""max_tokens":1,"messages":[{"role":"user"}]"#, "messages[0].content"),
            (r#""max_tokens":1,"messages":[{"role":"user","content":5}]"#, "messages[0].content"),
            (r#""max_tokens":1,"messages":[{"role":"user","content":[{"text":"a"}]}]"#, "messages[0].content"),
            (r#""max_tokens":-1,"messages":[{"role":"user","content":"a"}]"#, "max_tokens"),
            (r#""max_tokens":1,"messages":[{"role":"user","content":"a"}],"thread":{"type":"create"}"#, "thread"),
        ] {
            assert_eq!(of(members).err().unwrap().param.as_deref(), Some(param), "{members}");
        }
    }
}
