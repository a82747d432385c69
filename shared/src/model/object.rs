//! A JSON object that keeps the order and the exact text of its members.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id::Fingerprint;
use super::long_work::long_work;

/// A JSON object as it was sent: members in order, values as text.
///
/// Members that weir does not know pass through it unchanged, to the last digit of a number. A member that is named twice
/// keeps its last value, as in `JSON.parse`. Clones share the members until one of the clones is changed.
#[derive(Debug, Clone, Default)]
pub struct Object(Arc<IndexMap<String, Box<RawValue>>>);

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// If `json` is not JSON, is not an object, or has more than 1,000 members.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The exact text of a member's value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// A member read as `T`; `None` if it is absent, `null` or not a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.text(name)?).ok().flatten()
    }

    /// Sets a member. It keeps its place if it has one, and comes last otherwise.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        // Only maps with keys that are not strings cannot be written; then the member keeps its value.
        let Ok(text) = serde_json::value::to_raw_value(value) else { return };
        self.set_raw(name, text);
    }

    /// The object with a member set, for building one from the start.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a member to JSON text. It keeps its place if it has one, and comes last otherwise.
    pub fn set_raw(&mut self, name: &str, text: Box<RawValue>) {
        Arc::make_mut(&mut self.0).insert(name.to_owned(), text);
    }

    /// Sets all members of `other`.
    pub fn extend(&mut self, other: &Self) {
        Arc::make_mut(&mut self.0).extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// Removes a member. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        // The check spares a copy of shared members.
        self.0.contains_key(name) && Arc::make_mut(&mut self.0).shift_remove(name).is_some()
    }

    /// Members in order: name and exact text.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of its members as JSON, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.members().map(|(name, text)| name.len() + text.len()).sum()
    }

    /// Hash of the object's meaning: the order of members, spacing and escapes do not matter.
    ///
    /// RFC 8785 is not used: it writes numbers as doubles, so objects that differ in a large integer would be taken for
    /// equal.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let bytes = self.to_bytes();
        long_work(bytes.len(), || Self::fingerprint_of(&bytes))
    }

    fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
        // An object that is too deep or too large for a `Value` is compared by its text.
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return Fingerprint::of([bytes]) };
        value.sort_all_objects();
        Fingerprint::of([value.to_string().as_bytes()])
    }

    /// The object as JSON. There are no spaces between members; values keep their own.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
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
                let mut members = IndexMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if members.len() >= MAX_MEMBERS {
                        return Err(A::Error::custom(format_args!("more than {MAX_MEMBERS} members in one object")));
                    }
                    members.insert(name, map.next_value()?);
                }
                Ok(Object(Arc::new(members)))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member takes about a hundred bytes of memory, so a body of many short members would take many times its own size.
/// Requests have a few dozen members.
const MAX_MEMBERS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_of_the_meaning() {
        let of = |json: &str| Object::parse(json.as_bytes()).unwrap().fingerprint();
        assert_eq!(
            of(r#"{"a":1,"b":{"c":"é","d":[1,2]}}"#),
            of("{ \"b\": {\"d\":[1, 2],\"c\":\"\\u00e9\"}, \"a\":1 }")
        );
        assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
        assert_ne!(of(r#"{"a":"1"}"#), of(r#"{"a":1}"#));
        assert_ne!(of(r#"{"seed":9007199254740993}"#), of(r#"{"seed":9007199254740992}"#));
    }

    #[test]
    fn keeps_order_and_the_digits_of_numbers() {
        let json = br#"{"z":1.10,"a":{"deep":[1e5, -0.0]},"n":12345678901234567890123}"#;
        assert_eq!(Object::parse(json).unwrap().to_bytes(), &json[..]);
    }

    #[test]
    fn replaces_in_place_and_appends_new_members() {
        let mut object = Object::parse(br#"{"model":"a","x":1}"#).unwrap();
        object.set("model", "b");
        object.set("stream", &true);
        assert!(object.remove("x") && !object.remove("x"));
        assert_eq!(object.to_bytes(), r#"{"model":"b","stream":true}"#);
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        let object = Object::parse(br#"{"a":1,"b":0,"a":2}"#).unwrap();
        assert_eq!(object.to_bytes(), r#"{"a":2,"b":0}"#);
    }

    #[test]
    fn a_change_leaves_clones_as_they_were() {
        let first = Object::parse(br#"{"a":1,"b":2,"c":3}"#).unwrap();
        let mut second = first.clone();
        second.remove("a");
        second.extend(&Object::default().with("b", &4).with("d", &5));
        assert_eq!(first.to_bytes(), r#"{"a":1,"b":2,"c":3}"#);
        assert_eq!(second.to_bytes(), r#"{"b":4,"c":3,"d":5}"#);
    }

    #[test]
    fn refuses_more_than_1_000_members() {
        let json = |count: usize| {
            let members: Vec<_> = (0..count).map(|index| format!("\"{index}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(Object::parse(json(1_000).as_bytes()).is_ok());
        let error = Object::parse(json(1_001).as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("more than 1000 members in one object"), "{error}");
    }

    #[test]
    fn only_objects_are_objects() {
        for json in ["[]", "1", "\"a\"", "null", "{", ""] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
