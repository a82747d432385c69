//! Removes what weir added to earlier answers of other providers.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use shared::model::object::Object;
use shared::model::reasoning::OWN;

/// The messages of a body without the thoughts that weir wrote; `None` if there are none. A message that had nothing else is left out.
/// Everything else stays to the byte.
pub(super) fn without_own_thoughts(body: &Object) -> Option<Vec<Box<RawValue>>> {
    body.text("messages").filter(|text| text.contains(OWN))?;
    let messages: Vec<Box<RawValue>> = body.get("messages")?;
    let kept = messages.into_iter().filter_map(|message| match blocks_left(&message) {
        None => Some(message),
        Some((_, blocks)) if blocks.is_empty() => None,
        Some((changed, blocks)) => to_raw_value(&changed.with("content", &blocks)).ok(),
    });
    Some(kept.collect())
}

/// A message and the blocks that are left of it; `None` if it has no thoughts that weir wrote.
fn blocks_left(message: &RawValue) -> Option<(Object, Vec<Box<RawValue>>)> {
    let text = Some(message.get()).filter(|text| text.contains(OWN))?;
    let message = Object::parse(text.as_bytes()).ok()?;
    let mut blocks: Vec<Box<RawValue>> = message.get("content")?;
    let before = blocks.len();
    blocks.retain(|block| !is_own_thought(block));
    (blocks.len() < before).then_some((message, blocks))
}

fn is_own_thought(block: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        signature: Option<&'a str>,
        /// Of `redacted_thinking`.
        data: Option<&'a str>,
    }
    let Ok(Block { kind, signature, data }) = serde_json::from_str(block.get()) else { return false };
    let text = match kind {
        "thinking" => signature,
        "redacted_thinking" => data,
        _ => None,
    };
    text.is_some_and(|text| text.starts_with(OWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(messages: &str, expected: Option<&str>) {
        let body = Object::parse(format!(r#"{{"messages":{messages}}}"#).as_bytes()).unwrap();
        let kept = without_own_thoughts(&body).map(|kept| serde_json::to_string(&kept).unwrap());
        assert_eq!(kept.as_deref(), expected);
    }

    #[test]
    fn thoughts_of_weir_are_removed_and_everything_else_stays_to_the_byte() {
        let own = r#"{"type":"thinking","thinking":"a","signature":"weir:1:"}"#;
        let redacted = r#"{"type":"redacted_thinking","data":"weir:1:e30"}"#;
        let theirs = r#"{"type":"thinking", "thinking":"","signature":"c2ln","x":1.0}"#;
        check(
            &format!(
                r#"[{{"role":"user","content": "weir:"}},{{"role":"assistant","content":[{own},{theirs},{redacted}],"y":2.0}},{{"role":"assistant","content":[{own}]}},{{"content":[]}}]"#
            ),
            Some(&format!(
                r#"[{{"role":"user","content": "weir:"}},{{"role":"assistant","content":[{theirs}],"y":2.0}},{{"content":[]}}]"#
            )),
        );
        check(&format!(r#"[{{"role":"assistant","content":[{theirs}]}}]"#), None);
    }

    #[test]
    fn only_thoughts_are_removed() {
        let text = r#"[{"role":"assistant","content":[{"type":"text","text":"weir:1:","signature":"weir:1:"}]}]"#;
        check(text, Some(text));
    }
}
