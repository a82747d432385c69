//! The parts of a chat message.

use serde_json::{Value, json};
use shared::model::object::Object;

/// A part, and the mark of its block if the input up to it is to be kept.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub kind: PartKind,
    pub mark: Option<Object>,
}

#[derive(Debug, Clone)]
pub(super) enum PartKind {
    Text(String),
    /// Its URL, or its data as a URL.
    Image(String),
    /// `data` is a data URL.
    File {
        name: String,
        data: String,
    },
}

impl Part {
    pub(super) fn text(text: impl Into<String>) -> Self {
        PartKind::Text(text.into()).into()
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, PartKind::Text(_))
    }

    fn json(&self, marks: bool) -> Object {
        let part = match &self.kind {
            PartKind::Text(text) => Object::default().with("type", "text").with("text", text),
            PartKind::Image(url) => Object::default().with("type", "image_url").with("image_url", &json!({"url": url})),
            PartKind::File { name, data } => {
                let file = Object::default().with("filename", name).with("file_data", data);
                Object::default().with("type", "file").with("file", &file)
            }
        };
        match self.mark.as_ref().filter(|_| marks) {
            Some(mark) => part.with("cache_control", mark),
            None => part,
        }
    }
}

impl From<PartKind> for Part {
    fn from(kind: PartKind) -> Self {
        Self { kind, mark: None }
    }
}

/// The mark of a block or a tool. Only an object is one.
pub(super) fn mark(block: &Object) -> Option<Object> {
    block.get("cache_control")
}

/// Gives the last part the mark of what it belongs to, unless it has its own.
pub(super) fn marked(mut parts: Vec<Part>, mark: Option<Object>) -> Vec<Part> {
    if let Some(last) = parts.last_mut() {
        last.mark = last.mark.take().or(mark);
    }
    parts
}

/// The member `content`. Texts without marks are one string, `separator` between them: each server understands a string.
pub(super) fn content(parts: &[Part], separator: &str, marks: bool) -> Value {
    let text = |part: &Part| match &part.kind {
        PartKind::Text(text) if part.mark.is_none() || !marks => Some(text.clone()),
        _ => None,
    };
    match parts.iter().map(text).collect::<Option<Vec<_>>>() {
        Some(texts) => texts.join(separator).into(),
        None => json!(parts.iter().map(|part| part.json(marks)).collect::<Vec<_>>()),
    }
}
