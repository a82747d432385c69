//! Visits the members of JSON text, also those that are there twice.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Whether two texts are the same JSON.
pub(super) fn is_same(expected: &str, text: &str) -> bool {
    let read = |text| serde_json::from_str::<Value>(text).ok();
    read(text).is_some_and(|value| Some(value) == read(expected))
}

/// Passes each member of an object, also of one that is there twice. Returns whether this is an object.
pub(super) fn each_member(text: &str, each: impl FnMut(&str, &str)) -> bool {
    struct Each<F>(F);
    impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
            while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
                (self.0)(&name, value.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Each(each)).is_ok()
}

/// Passes each element of a list. Returns whether this is a list.
pub(super) fn each_element(text: &str, each: impl FnMut(usize, &str)) -> bool {
    struct Each<F>(F);
    impl<'de, F: FnMut(usize, &str)> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            let mut index = 0;
            while let Some(value) = list.next_element::<&RawValue>()? {
                (self.0)(index, value.get());
                index += 1;
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(Each(each)).is_ok()
}
