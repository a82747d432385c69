//! Writes the parts of a turn as content blocks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::model::file::title_of;
use shared::model::provider::Failure;

use super::wire::{Block, CacheControl, Marked, Source};
use crate::conversation::{CacheMark, Document, Image, PDF, Part, PartKind, invalid_request, is_text, unreadable};

pub(super) fn content(parts: &[Part]) -> Result<Vec<Marked<'_>>, Failure> {
    parts.iter().map(marked).collect()
}

fn marked(part: &Part) -> Result<Marked<'_>, Failure> {
    Ok(Marked { block: block(&part.kind)?, cache_control: part.cache.map(cache_control) })
}

pub(super) fn cache_control(mark: CacheMark) -> CacheControl {
    CacheControl { kind: "ephemeral", ttl: mark.ttl }
}

fn block(part: &PartKind) -> Result<Block<'_>, Failure> {
    Ok(match part {
        PartKind::Thinking { text, signature } => Block::Thinking { thinking: text, signature },
        PartKind::RedactedThinking(data) => Block::RedactedThinking { data },
        PartKind::Text(text) => Block::Text { text },
        PartKind::Image(Image::Url(url)) => Block::Image { source: Source::Url { url } },
        PartKind::Image(Image::Base64 { media_type, data }) => {
            Block::Image { source: Source::Base64 { media_type, data } }
        }
        PartKind::Document(document) => {
            Block::Document { source: source(document)?, title: document.name.as_deref().map(title_of) }
        }
        PartKind::ToolUse { id, name, input } => Block::ToolUse { id, name, input },
        PartKind::ToolResult { id, parts } => Block::ToolResult { tool_use_id: id, content: content(parts)? },
    })
}

/// Anthropic reads PDFs and texts.
fn source(document: &Document) -> Result<Source<'_>, Failure> {
    let Document { name, media_type, data } = document;
    if media_type == PDF {
        return Ok(Source::Base64 { media_type, data });
    }
    if !is_text(media_type) {
        return Err(unreadable("Anthropic", name.as_deref(), media_type, "PDF and text"));
    }
    let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| invalid_request("messages", "the text of a file is not UTF-8 in base64"))?;
    Ok(Source::Text { media_type: "text/plain", data: text })
}
