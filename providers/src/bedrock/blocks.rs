//! Writes the parts of a turn as content blocks.

use aws_sdk_bedrockruntime::types::{
    ContentBlock, DocumentBlock, DocumentFormat, DocumentSource, ImageBlock, ImageFormat, ImageSource,
    ReasoningContentBlock, ReasoningTextBlock, ToolResultBlock, ToolResultContentBlock, ToolUseBlock,
};
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::model::provider::Failure;

use super::cache::Points;
use super::{built, document};
use crate::conversation::{Document, Image, Part, PartKind, invalid_request, is_text, unreadable, unsupported};

/// Writes the parts of a request's turns, one turn after the other.
pub(super) struct BlockWriter {
    pub points: Points,
    /// The documents so far. Bedrock refuses two documents of one name.
    pub documents: usize,
}

impl BlockWriter {
    pub(super) fn content(&mut self, parts: &[Part]) -> Result<Vec<ContentBlock>, Failure> {
        let mut blocks = Vec::new();
        for part in parts {
            blocks.push(self.block(&part.kind)?);
            if let Some(point) = part.cache.and_then(|mark| self.points.behind(mark)) {
                blocks.push(ContentBlock::CachePoint(point?));
            }
        }
        let has_document = blocks.iter().any(ContentBlock::is_document);
        if has_document && !blocks.iter().any(ContentBlock::is_text) {
            blocks.push(ContentBlock::Text(NO_TEXT.to_owned()));
        }
        Ok(blocks)
    }

    fn block(&mut self, part: &PartKind) -> Result<ContentBlock, Failure> {
        Ok(match part {
            PartKind::Thinking { text, signature } => {
                let block = ReasoningTextBlock::builder().text(text).signature(signature);
                ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(built(block.build())?))
            }
            PartKind::RedactedThinking(data) => {
                ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(bytes(data)?))
            }
            PartKind::Text(text) => ContentBlock::Text(text.clone()),
            PartKind::Image(image) => ContentBlock::Image(self::image(image)?),
            PartKind::Document(document) => ContentBlock::Document(self.document(document)?),
            PartKind::ToolUse { id, name, input } => {
                let block = ToolUseBlock::builder().tool_use_id(id).name(name).input(document::of_text(input));
                ContentBlock::ToolUse(built(block.build())?)
            }
            PartKind::ToolResult { id, parts } => {
                let content = parts.iter().map(|part| self.result(&part.kind)).collect::<Result<_, _>>()?;
                let block = ToolResultBlock::builder().tool_use_id(id).set_content(Some(content));
                ContentBlock::ToolResult(built(block.build())?)
            }
        })
    }

    fn result(&mut self, part: &PartKind) -> Result<ToolResultContentBlock, Failure> {
        match part {
            PartKind::Text(text) => Ok(ToolResultContentBlock::Text(text.clone())),
            PartKind::Image(image) => Ok(ToolResultContentBlock::Image(self::image(image)?)),
            PartKind::Document(document) => Ok(ToolResultContentBlock::Document(self.document(document)?)),
            _ => Err(invalid_request("messages", "a tool's result has texts, images and files only")),
        }
    }

    fn document(&mut self, document: &Document) -> Result<DocumentBlock, Failure> {
        self.documents += 1;
        let name = document_name(document.name.as_deref().unwrap_or_default(), self.documents);
        let source = DocumentSource::Bytes(bytes(&document.data)?);
        built(DocumentBlock::builder().format(format(document)?).name(name).source(source).build())
    }
}

/// Stands for the text of a message that has documents only: Bedrock refuses one without a text, and a text of white space.
const NO_TEXT: &str = ".";

/// Bedrock's limit is 200 characters; the number needs some of them.
const MAX_NAME: usize = 180;

/// The name of the document with this number. Bedrock takes letters, digits, hyphens, brackets and single spaces.
fn document_name(name: &str, number: usize) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
    let name: String = name.chars().take(MAX_NAME).map(allowed).collect();
    let words: Vec<_> = name.split_whitespace().collect();
    format!("{} {number}", if words.is_empty() { "document".to_owned() } else { words.join(" ") })
}

fn format(document: &Document) -> Result<DocumentFormat, Failure> {
    Ok(match document.media_type.as_str() {
        "application/pdf" => DocumentFormat::Pdf,
        "text/csv" => DocumentFormat::Csv,
        "text/html" => DocumentFormat::Html,
        "text/markdown" => DocumentFormat::Md,
        "application/msword" => DocumentFormat::Doc,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => DocumentFormat::Docx,
        "application/vnd.ms-excel" => DocumentFormat::Xls,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => DocumentFormat::Xlsx,
        other if is_text(other) => DocumentFormat::Txt,
        other => {
            let takes = "PDF, text, Markdown, HTML, CSV, Word and Excel";
            return Err(unreadable("Bedrock", document.name.as_deref(), other, takes));
        }
    })
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
        other => return Err(unreadable("Bedrock", None, other, "PNG, JPEG, GIF and WebP as images")),
    };
    built(ImageBlock::builder().format(format).source(ImageSource::Bytes(bytes(data)?)).build())
}

fn bytes(data: &str) -> Result<Blob, Failure> {
    let wrong = |_| invalid_request("messages", "the data URL of an image or a file is not base64");
    STANDARD.decode(data).map(Blob::new).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_names_that_bedrock_takes() {
        assert_eq!(document_name("Report (final).pdf", 1), "Report (final) pdf 1");
        assert_eq!(document_name("", 2), "document 2");
        assert_eq!(document_name("../é__x", 3), "x 3");
        assert_eq!(document_name(&"a".repeat(500), 4).len(), 182);
    }
}
