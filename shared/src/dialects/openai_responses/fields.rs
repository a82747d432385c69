//! Reads members of a request one by one, with errors that name the path.

use std::fmt;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::dialects::body::{missing, read_at, shortened};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The members of the object at a path of the body.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Object,
    at: &'a str,
}

impl<'a> Fields<'a> {
    /// `at` is the path of the object. The body itself has the path `""`.
    pub(super) fn new(object: &'a Object, at: &'a str) -> Self {
        Self { object, at }
    }

    pub(super) fn object(&self) -> &'a Object {
        self.object
    }

    pub(super) fn at(&self) -> &'a str {
        self.at
    }

    /// The names of the members that are not `null`. A `null` asks for nothing.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.object.members().filter(|(_, text)| *text != "null").map(|(name, _)| name)
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// The text of a member that is neither absent nor `null`.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.object.text(name).filter(|text| *text != "null")
    }

    pub(super) fn required<T: DeserializeOwned>(&self, name: &str) -> Result<T, Invalid> {
        let path = self.path(name);
        let text = self.object.text(name).ok_or_else(|| missing(&path))?;
        read_at(text.as_bytes(), &path)
    }

    /// `None` if the member is absent or `null`.
    pub(super) fn optional<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Invalid> {
        self.text(name).map(|text| read_at(text.as_bytes(), &self.path(name))).transpose()
    }

    /// Reads a string that is one of `values`.
    pub(super) fn one_of(&self, name: &str, values: &[&str]) -> Result<Option<String>, Invalid> {
        let Some(value) = self.optional::<String>(name)? else { return Ok(None) };
        if values.contains(&value.as_str()) {
            Ok(Some(value))
        } else {
            Err(not_one_of(self.path(name), &value, values))
        }
    }

    /// Checks that a member is a number from `low` to `high`, absent or `null`.
    pub(super) fn number(&self, name: &str, low: f64, high: f64) -> Result<(), Invalid> {
        match self.optional::<f64>(name)? {
            Some(value) if !(low..=high).contains(&value) => {
                Err(invalid(self.path(name), format!("{value} is not between {low} and {high}")))
            }
            _ => Ok(()),
        }
    }
}

/// The error for a value of the right type that cannot be used. `reason` completes the sentence.
pub(super) fn invalid(path: impl Into<String>, reason: impl fmt::Display) -> Invalid {
    let (path, reason) = (path.into(), reason.to_string());
    Invalid {
        message: format!("Invalid value for '{path}': {}.", shortened(&reason)),
        param: Some(path),
        code: Some("invalid_value"),
    }
}

/// The error for a value that OpenAI may support and weir does not.
pub(super) fn unsupported(path: impl Into<String>, message: impl Into<String>, code: &'static str) -> Invalid {
    Invalid { message: message.into(), param: Some(path.into()), code: Some(code) }
}

pub(super) fn not_one_of(path: impl Into<String>, value: &str, values: &[&str]) -> Invalid {
    invalid(path, format_args!("'{value}' is not supported, expected one of {}", quote_all(values)))
}

pub(super) fn quote_all(values: &[&str]) -> String {
    values.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>().join(", ")
}

/// A string, or a list of unread elements.
pub(super) enum TextOrList {
    Text(String),
    List(Vec<Box<RawValue>>),
}

impl<'de> Deserialize<'de> for TextOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TextOrList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextOrList, E> {
                Ok(TextOrList::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<TextOrList, E> {
                Ok(TextOrList::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextOrList, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(TextOrList::List(values))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
