//! Writes turns as contents.

use std::collections::HashMap;

use shared::model::provider::Failure;

use super::family::Family;
use super::signatures::{Signatures, UNKNOWN};
use super::wire::{Blob, Content, FileData, FunctionCall, FunctionResponse, Part, Payload, Response};
use crate::conversation::{Document, Image, PDF, PartKind, Role, Turn, invalid_request, is_text, unreadable};

/// Writes the turns of one conversation.
pub(super) struct Contents<'a> {
    family: Family,
    signatures: &'a Signatures,
    /// The names of the called tools by the ids of the calls. A result needs both.
    names: HashMap<&'a str, &'a str>,
}

impl<'a> Contents<'a> {
    pub(super) fn of(
        family: Family,
        turns: &'a [Turn],
        signatures: &'a Signatures,
    ) -> Result<Vec<Content<'a>>, Failure> {
        let parts = turns.iter().flat_map(|turn| &turn.parts);
        let names = parts.filter_map(|part| match &part.kind {
            PartKind::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
            _ => None,
        });
        let writer = Self { family, signatures, names: names.collect() };
        let asked = turns.iter().rposition(asks).unwrap_or(0);
        let mut contents = Vec::new();
        for (index, turn) in turns.iter().enumerate() {
            match turn.role {
                Role::User => contents.extend(writer.user(turn)?),
                Role::Assistant => contents.push(writer.model(turn, index > asked)?),
            }
        }
        Ok(contents)
    }

    /// The results of tools, and then the rest. Gemini wants as many results as there were calls, and nothing between them.
    fn user(&self, turn: &'a Turn) -> Result<Vec<Content<'a>>, Failure> {
        let (mut results, mut rest) = (Vec::new(), Vec::new());
        for part in &turn.parts {
            match &part.kind {
                PartKind::ToolResult { id, parts } => results.push(self.result(id, parts, &mut rest)?),
                other => rest.push(unsigned(data(other)?)),
            }
        }
        let contents = [results, rest].into_iter().filter(|parts| !parts.is_empty());
        Ok(contents.map(|parts| Content { role: Some("user"), parts }).collect())
    }

    /// Media that the model cannot take inside of a result join the `rest`.
    fn result(
        &self,
        id: &'a str,
        parts: &'a [crate::conversation::Part],
        rest: &mut Vec<Part<'a>>,
    ) -> Result<Part<'a>, Failure> {
        let name = self.names.get(id).ok_or_else(|| {
            invalid_request("messages", "a message of the role `tool` answers no tool call of an earlier message")
        })?;
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for part in parts {
            match data(&part.kind)? {
                Payload::Text(text) => texts.push(text),
                inline @ Payload::InlineData(_) if self.family.signs => media.push(unsigned(inline)),
                other => rest.push(unsigned(other)),
            }
        }
        let response = Response { output: texts.join("\n") };
        Ok(unsigned(Payload::FunctionResponse(FunctionResponse { id, name, response, parts: media })))
    }

    /// A turn of the model. Of several calls, only the first has a signature.
    fn model(&self, turn: &'a Turn, is_current: bool) -> Result<Content<'a>, Failure> {
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut may_lack = !(is_current && self.family.signs);
        for part in &turn.parts {
            let thought_signature = match &part.kind {
                PartKind::Text(text) => self.signatures.of_text(text),
                PartKind::ToolUse { id, .. } => {
                    let signature = self.signatures.of_call(id);
                    let unknown = (!may_lack).then_some(UNKNOWN);
                    may_lack = true;
                    signature.or(unknown)
                }
                // Of Claude.
                PartKind::Thinking { .. } | PartKind::RedactedThinking(_) => continue,
                _ => None,
            };
            parts.push(Part { data: data(&part.kind)?, thought_signature });
        }
        Ok(Content { role: Some("model"), parts })
    }
}

/// Whether a turn of the user has more than results of tools. Then a new turn of the model begins; results alone continue the one before.
fn asks(turn: &Turn) -> bool {
    let is_result = |kind: &PartKind| matches!(kind, PartKind::ToolResult { .. });
    turn.role == Role::User && turn.parts.iter().any(|part| !is_result(&part.kind))
}

pub(super) fn unsigned(data: Payload<'_>) -> Part<'_> {
    Part { data, thought_signature: None }
}

fn data(part: &PartKind) -> Result<Payload<'_>, Failure> {
    Ok(match part {
        PartKind::Text(text) => Payload::Text(text),
        PartKind::Image(Image::Url(url)) => Payload::FileData(FileData { mime_type: media_type(url), file_uri: url }),
        PartKind::Image(Image::Base64 { media_type, data }) => {
            Payload::InlineData(Blob { mime_type: media_type, data })
        }
        PartKind::Document(document) => Payload::InlineData(self::document(document)?),
        PartKind::ToolUse { id, name, input } => Payload::FunctionCall(FunctionCall { id, name, args: input }),
        PartKind::ToolResult { .. } | PartKind::Thinking { .. } | PartKind::RedactedThinking(_) => {
            return Err(invalid_request("messages", "a tool's result or a thought is no part of another content"));
        }
    })
}

/// Gemini reads PDFs and texts.
fn document(document: &Document) -> Result<Blob<'_>, Failure> {
    let Document { name, media_type, data } = document;
    match media_type.as_str() {
        PDF => Ok(Blob { mime_type: PDF, data }),
        other if is_text(other) => Ok(Blob { mime_type: "text/plain", data }),
        other => Err(unreadable("Gemini", name.as_deref(), other, "PDF and text")),
    }
}

/// The types of images by the ends of URLs' paths.
const IMAGES: [(&str, &str); 7] = [
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".heic", "image/heic"),
    (".heif", "image/heif"),
];

/// The type that a URL names; `None` leaves it to Google, which fetches the URL.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    IMAGES.iter().find(|(end, _)| path.ends_with(end)).map(|(_, media_type)| *media_type)
}
