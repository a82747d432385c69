//! Inputs that are almost right: documents of a corpus with a few edits, which proptest shrinks to the ones that matter.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Characters that parsers of text formats get wrong.
const SCRAPS: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{202e}",
    "👋",
    "\n",
    "\n\n",
    "\r\n",
    "data:",
    "data: [DONE]",
    "event: error\n",
    "-1",
    "1e999",
    "18446744073709551616",
    "null",
    "=",
];

/// Bytes that are shown as the text they almost are.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// An edit of a text, which may keep or cut the text at its place.
#[derive(Debug, Clone)]
struct TextEdit {
    at: Index,
    cut: usize,
    scrap: &'static str,
}

/// An edit of a JSON document at one of its values, counted from the root.
#[derive(Debug, Clone)]
struct JsonEdit {
    at: Index,
    kind: JsonEditKind,
}

#[derive(Debug, Clone)]
enum JsonEditKind {
    Replace(Value),
    Remove,
    /// The value again, inside a list of so many of itself.
    Repeat(usize),
    Rename(&'static str),
}

/// One of the corpus's texts with up to six edits, as bytes: cuts also leave halves of characters.
pub fn mutated_text(corpus: Vec<String>) -> impl Strategy<Value = Bytes> {
    let edit =
        (any::<Index>(), prop_oneof![3 => Just(0_usize), 2 => 1_usize..4, 1 => 4_usize..400], select(&SCRAPS[..]));
    let edit = edit.prop_map(|(at, cut, scrap)| TextEdit { at, cut, scrap });
    (select(corpus), vec(edit, 0..6)).prop_map(|(text, edits)| Bytes(edits.iter().fold(text.into_bytes(), edit_text)))
}

fn edit_text(mut text: Vec<u8>, edit: &TextEdit) -> Vec<u8> {
    let from = edit.at.index(text.len() + 1);
    let to = (from + edit.cut).min(text.len());
    text.splice(from..to, edit.scrap.bytes());
    text
}

/// One of the corpus's documents with up to four edits.
pub fn mutated_json(corpus: Vec<Value>) -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        4 => odd_value().prop_map(JsonEditKind::Replace),
        2 => Just(JsonEditKind::Remove),
        1 => prop_oneof![Just(0_usize), Just(2), Just(200)].prop_map(JsonEditKind::Repeat),
        1 => select(&["", "type", "id", "role", "content", "stream", "$ref", "model\u{0}"][..]).prop_map(JsonEditKind::Rename),
    ];
    let edit = (any::<Index>(), kind).prop_map(|(at, kind)| JsonEdit { at, kind });
    (select(corpus), vec(edit, 0..4)).prop_map(|(document, edits)| edits.iter().fold(document, edit_json))
}

fn odd_value() -> impl Strategy<Value = Value> {
    let deep = (0..100).fold(json!("deep"), |inner, _| json!([inner]));
    let odd = [
        Value::Null,
        json!(true),
        json!(false),
        json!(""),
        json!("\u{0}"),
        json!("ü 👋 \u{202e}"),
        json!("a".repeat(10_000)),
        json!(0),
        json!(-1),
        json!(0.5),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!([]),
        json!({}),
        json!([null]),
        json!([[], [[]]]),
        json!({"type": "text"}),
        json!({"type": "text", "text": 7}),
        json!({"": {"": null}}),
        deep,
    ];
    select(odd.to_vec())
}

fn edit_json(mut document: Value, edit: &JsonEdit) -> Value {
    let chosen = edit.at.index(count(&document));
    edit_nth(&mut document, &mut (chosen + 1), &edit.kind);
    document
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Goes through the values until `left` are behind it and edits the last of them. Whether its parent is to drop it.
fn edit_nth(value: &mut Value, left: &mut usize, kind: &JsonEditKind) -> bool {
    *left -= 1;
    if *left == 0 {
        return edit_here(value, kind);
    }
    match value {
        Value::Array(values) => {
            let removed = (0..values.len()).find(|&n| *left > 0 && edit_nth(&mut values[n], left, kind));
            removed.map(|n| values.remove(n));
        }
        Value::Object(members) => {
            let dropped = members
                .iter_mut()
                .find_map(|(name, member)| (*left > 0 && edit_nth(member, left, kind)).then(|| name.clone()));
            if let Some(removed) = dropped.and_then(|name| members.remove(&name))
                && let JsonEditKind::Rename(name) = kind
            {
                members.insert((*name).to_owned(), removed);
            }
        }
        _ => {}
    }
    false
}

fn edit_here(value: &mut Value, kind: &JsonEditKind) -> bool {
    match kind {
        JsonEditKind::Replace(odd) => *value = odd.clone(),
        JsonEditKind::Repeat(times) => *value = Value::Array(vec![value.clone(); *times]),
        JsonEditKind::Remove | JsonEditKind::Rename(_) => return true,
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(at: usize, kind: JsonEditKind) -> Value {
        let mut document = json!({"a": [1, {"b": 2}], "c": 3});
        edit_nth(&mut document, &mut (at + 1), &kind);
        document
    }

    #[test]
    fn every_value_can_be_edited() {
        let gone = |at| edited(at, JsonEditKind::Remove);
        assert_eq!(count(&edited(0, JsonEditKind::Repeat(2))), 13);
        assert_eq!(gone(1), json!({"c": 3}));
        assert_eq!(gone(2), json!({"a": [{"b": 2}], "c": 3}));
        assert_eq!(gone(3), json!({"a": [1], "c": 3}));
        assert_eq!(gone(4), json!({"a": [1, {}], "c": 3}));
        assert_eq!(edited(5, JsonEditKind::Replace(Value::Null)), json!({"a": [1, {"b": 2}], "c": null}));
        assert_eq!(edited(5, JsonEditKind::Rename("d")), json!({"a": [1, {"b": 2}], "d": 3}));
    }
}
