//! The change of one optional field, as a PATCH-like request body describes it.

use serde::{Deserialize, Deserializer};

/// A change of one optional field.
///
/// In JSON, an absent member keeps the field (with `#[serde(default)]`), and `null` clears it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    /// Returns the value of the field after the change.
    #[must_use]
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> Patch<T> {
    /// Checks or converts the new value, if there is one.
    ///
    /// # Errors
    /// Any error that `check` returns.
    pub fn try_map<U, E>(self, check: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(check(value)?),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_clears_and_absent_keeps() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            a: Patch<u64>,
        }
        let read = |json| serde_json::from_str::<Body>(json).unwrap().a;
        assert_eq!(["{}", r#"{"a":null}"#, r#"{"a":7}"#].map(read), [Patch::Keep, Patch::Clear, Patch::Set(7)]);
    }

    #[test]
    fn applies_to_a_field_with_and_without_a_value() {
        for before in [None, Some(1)] {
            assert_eq!(Patch::Keep.apply(before), before);
            assert_eq!(Patch::Clear.apply(before), None);
            assert_eq!(Patch::Set(2).apply(before), Some(2));
        }
    }
}
