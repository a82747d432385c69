//! The summary of an answer, for telemetry: telemetry must not fail a call, so nothing here fails.

use std::borrow::Cow;

use serde::Deserialize;

use super::transcript::{ChatMessage, Output};
use crate::model::tokens::Usage;

/// The properties of an answer that its span gets when it ends.
#[derive(Default)]
pub struct AnswerSummary {
    pub id: Option<String>,
    pub model: Option<String>,
    /// One for each choice, by the index of the choice.
    pub finish_reasons: Vec<Option<String>>,
    pub usage: Option<Usage>,
    /// The messages, if spans contain them.
    pub output: Option<Output>,
}

/// The members of an answer, or of a chunk of one, that the summary uses.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(alias = "delta", default)]
    message: Option<ChatMessage>,
}

/// The largest number of choices that a call can request. Choices beyond it are ignored, so that a wrong index cannot
/// allocate much memory.
const MAX_CHOICES: usize = 128;

impl AnswerSummary {
    /// Adds an answer, or a chunk of one. JSON of another shape adds nothing.
    pub fn add(&mut self, json: &[u8], usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(json) else { return };
        self.id = self.id.take().or_else(|| answer.id.map(Cow::into_owned));
        self.model = self.model.take().or_else(|| answer.model.map(Cow::into_owned));
        for choice in answer.choices.into_iter().filter(|choice| choice.index < MAX_CHOICES) {
            if choice.index >= self.finish_reasons.len() {
                self.finish_reasons.resize(choice.index + 1, None);
            }
            if let (Some(output), Some(message)) = (&mut self.output, choice.message) {
                output.add(choice.index, message);
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish_reasons[choice.index] = Some(reason);
            }
        }
    }
}
