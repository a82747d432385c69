//! Values of request bodies that are checked while they are read.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The most items of one request for a response, and the most messages of a chat call.
pub(in crate::dialects) const MOST_ITEMS: usize = 5_000;
/// The most texts of one call, each of which gets an answer or an embedding of its own: OpenAI's limit.
const MOST_INPUTS: u64 = 2_048;

/// A string that is not empty.
pub(in crate::dialects) struct Name(pub(in crate::dialects) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(serde::de::Error::custom("it must not be empty"));
        }
        Ok(Self(text))
    }
}

/// A whole number of at least 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::dialects) struct Count(pub(in crate::dialects) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Err(serde::de::Error::custom("0 is below the minimum of 1")),
            count => Ok(Self(count)),
        }
    }
}

/// A number of answers: 1 to 128, as at OpenAI.
#[derive(Clone, Copy)]
pub(super) struct Choices(pub(super) u64);

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            count @ 1..=128 => Ok(Self(count)),
            count => Err(serde::de::Error::custom(format_args!("{count} is not between 1 and 128"))),
        }
    }
}

/// A list of 1 to 5,000 elements.
pub(super) struct Items<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        match list.len() {
            0 => Err(serde::de::Error::custom("it must have at least one element")),
            1..=MOST_ITEMS => Ok(Self(list)),
            count => {
                Err(serde::de::Error::custom(format_args!("it has {count} elements, expected at most {MOST_ITEMS}")))
            }
        }
    }
}

/// A string, or a list of parts. A string has no media.
#[derive(Default)]
pub(super) struct Content(pub(super) Vec<Part>);

/// One content part. Only its type and the length of its JSON are read.
pub(super) struct Part {
    kind: String,
    pub(super) length: usize,
}

impl Part {
    pub(super) fn is_image(&self) -> bool {
        matches!(self.kind.as_str(), "image_url" | "input_image")
    }

    pub(super) fn is_media(&self) -> bool {
        !matches!(self.kind.as_str(), "text" | "input_text" | "output_text" | "refusal")
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().starts_with('"') {
            // The input of a moderation may be a list of strings.
            return Ok(Self { kind: "text".to_owned(), length: text.get().len() });
        }
        let kind: Kind = serde_json::from_str(text.get())
            .map_err(|_| serde::de::Error::custom("a content part is an object with a string `type`"))?;
        Ok(Self { kind: kind.r#type, length: text.get().len() })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrParts;
        impl<'de> Visitor<'de> for TextOrParts {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content parts")
            }

            fn visit_str<E>(self, _: &str) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(Content(parts))
            }
        }
        deserializer.deserialize_any(TextOrParts)
    }
}

/// A string, a list of strings, a list of tokens, or a list of lists of tokens. It is not empty.
pub(super) struct TextOrTokens {
    /// Number of inputs. A list of tokens is one input.
    pub(super) items: u64,
}

impl<'de> Deserialize<'de> for TextOrTokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Inputs)
    }
}

struct Inputs;

impl<'de> Visitor<'de> for Inputs {
    type Value = TextOrTokens;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of strings, a list of tokens or a list of lists of tokens")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOrTokens, E> {
        if text.is_empty() {
            return Err(E::custom("it must not be empty"));
        }
        Ok(TextOrTokens { items: 1 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextOrTokens, A::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected strings, tokens or lists of tokens")]
        enum One {
            Text(#[expect(dead_code, reason = "only the type is checked")] String),
            Token(#[expect(dead_code, reason = "only the type is checked")] u64),
            Tokens(#[expect(dead_code, reason = "only the type is checked")] Vec<u64>),
        }
        let (mut items, mut tokens) = (0, 0);
        while let Some(one) = list.next_element()? {
            match one {
                One::Text(_) | One::Tokens(_) => items += 1,
                One::Token(_) => tokens += 1,
            }
        }
        match (items, tokens) {
            (items, _) if items > MOST_INPUTS => {
                Err(serde::de::Error::custom(format_args!("it has {items} inputs, expected at most {MOST_INPUTS}")))
            }
            (0, 0) => Err(serde::de::Error::custom("it must not be empty")),
            (0, _) => Ok(TextOrTokens { items: 1 }),
            (items, 0) => Ok(TextOrTokens { items }),
            _ => Err(serde::de::Error::custom("it mixes tokens with other inputs")),
        }
    }
}
