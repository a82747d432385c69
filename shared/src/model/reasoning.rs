//! Reasoning that goes back to the model that wrote it: `reasoning_details` of a chat completion, in `OpenRouter`'s shapes.
//!
//! An entry may have a `signature`, or encrypted reasoning in `data`. Only the model that wrote it can read it: others refuse the whole
//! call. So weir marks these texts with their origin before a client gets them, and takes the mark off before they go back.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::object::Object;

/// How the texts of any version of weir begin. Signatures of providers are base64, which has no colon.
pub const OWN: &str = "weir:";

/// How texts of this version begin.
const VERSION_1: &str = "weir:1:";

/// The members of an entry that only its origin can read.
const OPAQUE: [&str; 2] = ["signature", "data"];

/// The bytes of a hash that tell origins apart.
const ORIGIN_BYTES: usize = 6;

/// A model of a provider.
///
/// It is a hash, so that clients do not learn the names of the models file. All instances of a deployment have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The model that a provider calls `model`.
    #[must_use]
    pub fn of(provider: &str, model: &str) -> Self {
        let hash = Sha256::digest(format!("{provider}\0{model}"));
        let hex = hash.iter().take(ORIGIN_BYTES).fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self(hex)
    }

    fn mark(&self, text: &str) -> String {
        format!("{VERSION_1}{}:{text}", self.0)
    }

    /// The text that was marked; `None` if it came from somewhere else.
    fn unmark<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(VERSION_1)?.strip_prefix(&self.0)?.strip_prefix(':')
    }
}

/// The reasoning of a message, in order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Object>", into = "Vec<Object>")]
pub struct ReasoningDetails(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    object: Object,
    /// The text so far, once it has grown. It stands here because a stream has a piece for each word, and an object would be written
    /// again with each.
    text: Option<String>,
}

impl From<Vec<Object>> for ReasoningDetails {
    fn from(objects: Vec<Object>) -> Self {
        Self(objects.into_iter().map(|object| Entry { object, text: None }).collect())
    }
}

impl From<ReasoningDetails> for Vec<Object> {
    fn from(details: ReasoningDetails) -> Self {
        details.entries().collect()
    }
}

impl ReasoningDetails {
    /// The details of a message or of a chunk's delta. Other values than lists of objects count as none.
    #[must_use]
    pub fn read(json: &RawValue) -> Self {
        serde_json::from_str(json.get()).unwrap_or_default()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = Object> {
        self.0.iter().map(Entry::whole)
    }

    /// The text that a reader may see.
    #[must_use]
    pub fn text(&self) -> String {
        let shown = |entry: Object| entry.get::<String>("text").or_else(|| entry.get("summary"));
        self.entries().filter_map(shown).collect()
    }

    /// Adds the entries of a later chunk. Pieces of one entry have the same type and `index`.
    pub fn extend(&mut self, later: Self) {
        for piece in later.0 {
            match self.0.last_mut().filter(|last| last.goes_on_with(&piece.object)) {
                Some(last) => last.join(&piece.whole()),
                None => self.0.push(piece),
            }
        }
    }

    /// Marks what only `origin` can read.
    #[must_use]
    pub fn marked(&self, origin: &Origin) -> Self {
        let mark = |entry| each_opaque(entry, |text| Some(origin.mark(text)));
        self.entries().filter_map(mark).collect::<Vec<_>>().into()
    }

    /// The entries that `origin` may get, as it wrote them: its own, and texts beside them. Texts alone are nothing: their origin is not
    /// known, and most providers do not know the member.
    #[must_use]
    pub fn of(&self, origin: &Origin) -> Self {
        let unmark = |entry| each_opaque(entry, |text| origin.unmark(text).map(str::to_owned));
        let own = Self::from(self.entries().filter_map(unmark).collect::<Vec<_>>());
        if own.is_opaque() { own } else { Self::default() }
    }

    /// The details as one text, for APIs that have a place for a text that clients send back and cannot read. It is short if the
    /// details are only a text: clients send that back, too.
    #[must_use]
    pub fn carrier(&self) -> String {
        if !self.is_opaque() {
            return VERSION_1.to_owned();
        }
        // Objects can always be written.
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{VERSION_1}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// The details that a text carries; `None` if weir did not write it. A text that was changed carries none.
    #[must_use]
    pub fn from_carrier(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(VERSION_1)?;
        let json = URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
        Some(serde_json::from_slice(&json).unwrap_or_default())
    }

    /// Whether an entry can be read only by its origin.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.0.iter().any(|entry| OPAQUE.iter().any(|name| entry.object.get::<String>(name).is_some()))
    }
}

impl Entry {
    /// The member with the text that grows. Encrypted reasoning comes whole.
    fn text_member(&self) -> Option<&'static str> {
        match self.object.get::<String>("type")?.as_str() {
            "reasoning.text" => Some("text"),
            "reasoning.summary" => Some("summary"),
            _ => None,
        }
    }

    fn goes_on_with(&self, piece: &Object) -> bool {
        let same = |name| self.object.text(name) == piece.text(name);
        self.text_member().is_some() && same("type") && same("index")
    }

    /// Adds a piece: the text grows, other members get their last value.
    fn join(&mut self, piece: &Object) {
        let grows = self.text_member();
        for (name, value) in piece.members().filter(|(_, value)| *value != "null") {
            if Some(name) == grows {
                let text = self.text.get_or_insert_with(|| self.object.get(name).unwrap_or_default());
                text.push_str(&piece.get::<String>(name).unwrap_or_default());
            } else if self.object.text(name) != Some(value)
                && let Ok(value) = RawValue::from_string(value.to_owned())
            {
                self.object.set_raw(name, value);
            }
        }
    }

    fn whole(&self) -> Object {
        match (self.text_member(), &self.text) {
            (Some(name), Some(text)) => self.object.clone().with(name, text),
            _ => self.object.clone(),
        }
    }
}

/// Changes what only the origin of an entry can read; `None` if `change` has no text for it.
fn each_opaque(mut entry: Object, change: impl Fn(&str) -> Option<String>) -> Option<Object> {
    for name in OPAQUE {
        if let Some(text) = entry.get::<String>(name) {
            entry.set(name, &change(&text)?);
        }
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(json: &str) -> ReasoningDetails {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check(details: &ReasoningDetails, expected: &str) {
        assert_eq!(serde_json::to_string(details).unwrap(), expected);
    }

    #[test]
    fn pieces_of_an_entry_become_one() {
        let mut all = ReasoningDetails::default();
        for piece in [
            r#"[{"type":"reasoning.text","text":"a","signature":null,"index":0}]"#,
            r#"[{"type":"reasoning.text","text":"b","index":0}]"#,
            r#"[{"type":"reasoning.text","signature":"c2ln","index":0},{"type":"reasoning.text","text":"c","index":1}]"#,
            r#"[{"type":"reasoning.encrypted","data":"x","index":1}]"#,
            r#"[{"type":"reasoning.encrypted","data":"y","index":1}]"#,
        ] {
            all.extend(details(piece));
        }
        check(
            &all,
            r#"[{"type":"reasoning.text","text":"ab","signature":"c2ln","index":0},{"type":"reasoning.text","text":"c","index":1},{"type":"reasoning.encrypted","data":"x","index":1},{"type":"reasoning.encrypted","data":"y","index":1}]"#,
        );
        assert_eq!(all.text(), "abc");
    }

    /// Written again with each piece, these would be a hundred gigabytes.
    #[test]
    fn a_long_text_grows_with_its_pieces_alone() {
        let piece = format!(r#"[{{"type":"reasoning.text","text":"{}","index":0}}]"#, "a".repeat(100));
        let mut all = ReasoningDetails::default();
        for _ in 0..50_000 {
            all.extend(details(&piece));
        }
        assert_eq!((all.0.len(), all.text().len()), (1, 5_000_000));
    }

    #[test]
    fn only_the_origin_gets_its_own_back() {
        let (own, other) = (Origin::of("a", "m"), Origin::of("a", "n"));
        let told = r#"[{"type":"reasoning.text","text":"t","signature":"s"},{"type":"reasoning.encrypted","data":"d"},{"type":"reasoning.summary","summary":"u"}]"#;
        let marked = details(told).marked(&own);
        check(&marked.of(&own), told);
        check(&marked.of(&other), "[]");
        // A signature without a mark came from elsewhere.
        check(&details(told).of(&own), "[]");
        let again = ReasoningDetails::from_carrier(&marked.carrier()).unwrap();
        check(&again.of(&own), told);
    }

    #[test]
    fn names_of_providers_and_models_do_not_run_together() {
        assert_ne!(Origin::of("ab", "c"), Origin::of("a", "bc"));
    }

    #[test]
    fn a_carrier_that_was_changed_carries_nothing() {
        for text in ["weir:1:", "weir:1:%", "weir:1:e30"] {
            assert!(ReasoningDetails::from_carrier(text).unwrap().is_empty(), "{text}");
        }
        assert!(ReasoningDetails::from_carrier("c2ln").is_none());
        assert_eq!(ReasoningDetails::default().carrier(), "weir:1:");
    }
}
