//! Items of the table: attributes are made here, and read so that an error names its item.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::error::StoreError;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Adds attributes to an item.
pub(super) fn insert(item: &mut Item, attributes: impl IntoIterator<Item = (&'static str, AttributeValue)>) {
    item.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// Adds those attributes that have a value.
pub(super) fn insert_present(
    item: &mut Item,
    attributes: impl IntoIterator<Item = (&'static str, Option<AttributeValue>)>,
) {
    insert(item, attributes.into_iter().filter_map(|(name, value)| Some((name, value?))));
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn flag(value: bool) -> AttributeValue {
    number(u8::from(value))
}

pub(super) fn binary(value: &Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(value.clone()))
}

/// Reads the attributes of an item. Its errors name the item and the attribute.
pub(super) struct Reader<'a>(pub(super) &'a Item);

impl Reader<'_> {
    pub(super) fn text(&self, name: &'static str) -> Result<String, StoreError> {
        self.maybe_text(name).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn maybe_text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_s().ok().cloned()
    }

    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.maybe_number(name)?.ok_or_else(|| self.damaged(name))
    }

    /// Returns `None` if the attribute is absent, and an error if it is there but no such number.
    pub(super) fn maybe_number<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| self.damaged(name)),
            Some(_) => Err(self.damaged(name)),
        }
    }

    pub(super) fn maybe_binary(&self, name: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(self.0.get(name)?.as_b().ok()?.as_ref()))
    }

    pub(super) fn damaged(&self, attribute: &'static str) -> StoreError {
        let part = |name| self.maybe_text(name).unwrap_or_default();
        StoreError::Damaged { key: format!("{}/{}", part("pk"), part("sk")), attribute }
    }
}
