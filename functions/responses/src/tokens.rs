//! Counts the tokens of an input without asking a model.

use shared::dialects::openai_responses::{CreateResponse, InputPart, Item};
use shared::dialects::tokens::count_text;

/// Tokens around the text of a message, for its role and its ends.
const PER_MESSAGE: u64 = 4;
/// Tokens that begin the answer.
const PRIMING: u64 = 3;
/// OpenAI's count for an image of low detail.
const LOW_DETAIL: u64 = 85;
/// OpenAI's count for an image of 1024 x 1024 pixels of high detail: 85, and 170 for each of 4 tiles.
const HIGH_DETAIL: u64 = 765;

/// The tokens that a model reads for `create` after `context`, the items of earlier turns.
///
/// Text is split as OpenAI's models since GPT-4o split it (`o200k_base`). Models of other vendors split it otherwise, so
/// for them the count is an estimate. Each item adds 4 tokens and the answer adds 3. Tools and formats count as the JSON
/// that was sent, which is close to the vendors' own counts. An image counts 85 tokens with low detail and 765 otherwise,
/// because its size is not read. Files and reasoning items count nothing. References count nothing either: resolve them
/// first.
///
/// The first call takes a quarter of a second and 50 MB to unpack the vocabulary.
pub(crate) fn count(create: &CreateResponse, context: &[Item]) -> u64 {
    PRIMING + create.input_parts(context).iter().map(count_part).sum::<u64>()
}

fn count_part(part: &InputPart) -> u64 {
    match part {
        InputPart::Message => PER_MESSAGE,
        InputPart::Text(text) => count_text(text),
        InputPart::Image { is_low_detail: true } => LOW_DETAIL,
        InputPart::Image { is_low_detail: false } => HIGH_DETAIL,
    }
}

#[cfg(test)]
mod tests {
    use shared::dialects::openai_responses::{NewIds, parse_items};
    use shared::model::clock::Timestamp;

    use super::*;

    #[track_caller]
    fn check(body: &str, expected: u64) {
        let request = CreateResponse::parse_to_count(body.as_bytes(), Timestamp(0)).unwrap();
        assert_eq!(count(&request, &[]), expected, "{body}");
    }

    #[test]
    fn texts_are_counted_as_openai_splits_them() {
        check(r#"{"input":""}"#, 7);
        check(r#"{"input":"Hello, world!"}"#, 4 + 7);
        check(r#"{"input":"<|endoftext|>"}"#, 7 + 7);
        check(r#"{"input":"Hello, world!","instructions":"Hello, world!"}"#, 4 + 4 + 4 + 7);
    }

    #[test]
    fn long_runs_of_anything_are_counted() {
        for (run, per_token) in [("a", 9), (" ", 200), ("\n", 200), ("\u{5b57}", 4), (".", 200), ("A", 20), ("7", 4)] {
            let text = run.repeat(100_000 / run.len());
            let count = count_text(&text);
            let bytes = text.len() as u64;
            assert!(count > 0 && count <= bytes && count >= bytes / per_token, "{run:?}: {count}");
        }
    }

    #[test]
    fn images_count_by_their_detail() {
        let image = r#"{"type":"input_image","image_url":"https://a/b.png"}"#;
        let low = r#"{"type":"input_image","image_url":"https://a/b.png","detail":"low"}"#;
        check(&format!(r#"{{"input":[{{"role":"user","content":[{image},{low}]}}]}}"#), 765 + 85 + 7);
    }

    #[test]
    fn the_context_and_the_tools_count_too() {
        let body = br#"{"input":"Hello, world!"}"#;
        let request = CreateResponse::parse_to_count(body, Timestamp(0)).unwrap();
        let call = r#"{"type":"function_call","call_id":"c","name":"Hello","arguments":"{}"}"#;
        let output = r#"{"type":"function_call_output","call_id":"c","output":"Hello"}"#;
        let context = parse_items(format!("[{call},{output}]").as_bytes(), "items", NewIds::At(Timestamp(0))).unwrap();
        assert_eq!(count(&request, &context), 4 + 7 + (4 + 1 + 1) + (4 + 1));
        let tools = r#"{"input":"Hello, world!","tools":[{"type":"function","name":"f"}]}"#;
        let request = CreateResponse::parse_to_count(tools.as_bytes(), Timestamp(0)).unwrap();
        assert!(count(&request, &[]) > 4 + 7 + 5);
    }
}
