//! The thoughts of a model as a chat completion has them: `reasoning_content` and `reasoning_details`, in `OpenRouter`'s shapes.

use serde_json::{Value, json};

/// `format` of the reasoning of Claude models, and of those that Bedrock serves in the same shape.
pub(crate) const CLAUDE: &str = "anthropic-claude-v1";

/// The reasoning of a whole answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reasoning {
    pub text: String,
    /// Entries of `reasoning_details`.
    pub details: Vec<Value>,
}

/// An entry of `reasoning_details`, or a piece of one.
#[derive(Debug, Clone)]
pub(crate) struct Thought {
    /// Pieces of one entry have one index.
    pub index: usize,
    pub kind: ThoughtKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ThoughtKind {
    /// Thoughts, and the signature without which the model does not take them back.
    Text { text: String, signature: Option<String> },
    /// Thoughts that only the model can read.
    Encrypted(String),
}

impl FromIterator<Thought> for Reasoning {
    fn from_iter<T: IntoIterator<Item = Thought>>(thoughts: T) -> Self {
        let mut reasoning = Self::default();
        for thought in thoughts {
            reasoning.text.push_str(thought.text().unwrap_or_default());
            reasoning.details.push(thought.json());
        }
        reasoning
    }
}

impl Thought {
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            ThoughtKind::Text { text, .. } => Some(text).filter(|text| !text.is_empty()).map(String::as_str),
            ThoughtKind::Encrypted(_) => None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let Self { index, kind } = self;
        match kind {
            ThoughtKind::Text { text, signature } => {
                let mut entry = json!({"type": "reasoning.text", "text": text, "format": CLAUDE, "index": index});
                if let Some(signature) = signature {
                    entry["signature"] = signature.as_str().into();
                }
                entry
            }
            ThoughtKind::Encrypted(data) => {
                json!({"type": "reasoning.encrypted", "data": data, "format": CLAUDE, "index": index})
            }
        }
    }
}
