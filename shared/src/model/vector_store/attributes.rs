//! The attributes of the files of a vector store, which searches filter by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::model::invalid::Invalid;

/// The most attributes of a file, and the most characters of a name and of a text: OpenAI's limits.
const MAX_ATTRIBUTES: usize = 16;
const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 512;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    Bool(bool),
    Number(Number),
    Text(String),
}

/// The attributes of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, AttributeValue>);

impl Attributes {
    /// Checks the attributes that a client sends as the member `param`.
    ///
    /// # Errors
    /// If there are too many of them, or one is too long.
    pub fn check(&self, param: &str) -> Result<(), Invalid> {
        if self.0.len() > MAX_ATTRIBUTES {
            let message = format!("`{param}` has {} members, expected at most {MAX_ATTRIBUTES}.", self.0.len());
            return Err(Invalid::field(param, message));
        }
        for (name, value) in &self.0 {
            let length = name.chars().count();
            if !(1..=MAX_NAME).contains(&length) {
                let message = format!("A name in `{param}` has {length} characters, expected 1 to {MAX_NAME}.");
                return Err(Invalid::field(param, message));
            }
            if let AttributeValue::Text(text) = value
                && text.chars().count() > MAX_TEXT
            {
                let message = format!("`{param}.{name}` has more than {MAX_TEXT} characters.");
                return Err(Invalid::field(format!("{param}.{name}"), message));
            }
        }
        Ok(())
    }
}
