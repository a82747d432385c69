//! The parts of a request's input, for counting its tokens.

use super::compaction;
use super::create::CreateResponse;
use super::item::Item;
use super::part::Part;
use super::view::View;

/// A part of the input that a model reads as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputPart {
    /// The role and the ends of a message. The parts of the message follow.
    Message,
    Text(String),
    Image {
        is_low_detail: bool,
    },
}

impl CreateResponse {
    /// The parts that a model reads for this request: the instructions, the items of earlier turns (`context`), the
    /// input, then tools and formats as JSON.
    ///
    /// Leaves out files, whose tokens are unknown, and reasoning items, which only some providers are sent. Also leaves out references:
    /// resolve them first.
    #[must_use]
    pub fn input_parts(&self, context: &[Item]) -> Vec<InputPart> {
        let instructions =
            self.instructions.iter().flat_map(|text| [InputPart::Message, InputPart::Text(text.clone())]);
        let items = context.iter().chain(&self.input).flat_map(parts_of);
        let tools = self.tools(context).chat();
        let tools = (!tools.is_empty()).then(|| serde_json::to_string(&tools).unwrap_or_default());
        let format = self.settings.text("response_format").map(str::to_owned);
        instructions.chain(items).chain(tools.into_iter().chain(format).map(InputPart::Text)).collect()
    }
}

fn parts_of(item: &Item) -> Vec<InputPart> {
    let mut parts = vec![InputPart::Message];
    match View::read(&item.0, "") {
        Ok(View::Message { content, .. } | View::Output { content, .. }) => {
            parts.extend(content.into_iter().filter_map(part));
        }
        Ok(View::Compaction { message }) => parts.push(InputPart::Text(message)),
        Ok(View::CompactionTrigger) => parts.push(InputPart::Text(compaction::REQUEST.to_owned())),
        Ok(View::Call { name, arguments, .. }) => parts.extend([name.name, arguments].map(InputPart::Text)),
        Ok(View::Loaded { call_id: Some(_), .. }) => {}
        Ok(View::Loaded { .. } | View::Reasoning { .. } | View::Hosted { .. } | View::Reference { .. }) | Err(_) => {
            parts.clear();
        }
    }
    parts
}

fn part(part: Part) -> Option<InputPart> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(InputPart::Text(text)),
        Part::Image { detail, .. } => Some(InputPart::Image { is_low_detail: detail.as_deref() == Some("low") }),
        Part::UploadedImage { detail, .. } => {
            Some(InputPart::Image { is_low_detail: detail.as_deref() == Some("low") })
        }
        Part::File { .. } | Part::UploadedFile { .. } => None,
    }
}
