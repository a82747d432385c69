//! A JSON object whose members keep their order and their exact text.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON object as it was sent: members in order, values as text.
///
/// Fields that weir does not know pass through it unchanged, to the last digit of a number.
/// A member named twice keeps its last value, as `JSON.parse` does.
#[derive(Debug, Clone, Default)]
pub struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// If `json` is not JSON, or not an object.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The exact text of a member's value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// A member read as `T`; `None` if it is absent, `null` or no `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.text(name)?).ok().flatten()
    }

    /// Sets a member, in its old place if it has one, else at the end.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        // Serialising fails only for maps with keys that are no strings; then the member stays as it was.
        let Ok(text) = serde_json::value::to_raw_value(value) else { return };
        self.set_raw(name, text);
    }

    /// The object with a member set, for building one from the start.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a member to JSON text that was read before.
    pub fn set_raw(&mut self, name: &str, text: Box<RawValue>) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, value)) => *value = text,
            None => self.0.push((name.to_owned(), text)),
        }
    }

    /// Sets all members of `other`.
    pub fn extend(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            self.set_raw(name, value.clone());
        }
    }

    /// Removes a member and tells whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| key != name);
        self.0.len() < before
    }

    /// Members in order: name and exact text.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.get()))
    }

    /// The object as compact JSON between members; values keep their own spacing.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some(key) = map.next_key::<String>()? {
                    if object.0.len() >= MAX_MEMBERS {
                        return Err(A::Error::custom(format_args!("more than {MAX_MEMBERS} members in one object")));
                    }
                    object.set_raw(&key, map.next_value()?);
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Members are searched one by one; requests have a few dozen, and more than this is an attack on that search.
const MAX_MEMBERS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_the_digits_of_numbers() {
        let json = br#"{"z":1.10,"a":{"deep":[1e5, -0.0]},"n":12345678901234567890123}"#;
        assert_eq!(Object::parse(json).unwrap().to_bytes(), &json[..]);
    }

    #[test]
    fn replaces_in_place_and_appends_what_is_new() {
        let mut object = Object::parse(br#"{"model":"a","x":1}"#).unwrap();
        object.set("model", "b");
        object.set("stream", &true);
        assert!(object.remove("x") && !object.remove("x"));
        assert_eq!(object.to_bytes(), r#"{"model":"b","stream":true}"#);
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        assert_eq!(Object::parse(br#"{"a":1,"a":2}"#).unwrap().get::<u8>("a"), Some(2));
    }

    #[test]
    fn only_objects_are_objects() {
        for json in ["[]", "1", "\"a\"", "null", "{", ""] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
