//! Items of the table: making attributes, and reading them with the item's name in the error.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::error::StoreError;

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn binary(value: &Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(value.clone()))
}

/// Reads attributes; what is missing or of another type is named with its item.
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

    /// `None` if the attribute is absent; an error if it is there and no such number.
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
