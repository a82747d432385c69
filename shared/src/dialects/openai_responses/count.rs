//! The tokens of an input, without asking a model.

use super::create::CreateResponse;
use super::item::Item;
use super::part::Part;
use super::view::View;

/// Tokens around the text of a message, for its role and its ends.
const PER_MESSAGE: u64 = 4;
/// Tokens that begin the answer.
const PRIMING: u64 = 3;
/// OpenAI's count for an image of low detail, and for one of 1024 x 1024 pixels of high detail: 85 and 4 tiles of 170 more.
const LOW_DETAIL: u64 = 85;
const HIGH_DETAIL: u64 = 765;

/// The tokens that the model reads for this request after `context`, the items of earlier turns.
///
/// Text is counted as OpenAI's models since GPT-4o split it (`o200k_base`); other vendors' models split it otherwise, so for
/// them this is an estimate. Each item adds 4 tokens and the answer 3. Tools and formats are counted as the JSON that was
/// sent, which is near what vendors make of them. Every image counts 85 tokens with low detail and else 765, as its size is
/// not looked at. Files are not counted. Neither are reasoning items, which are not sent, and references: resolve them before.
///
/// The first call takes a quarter of a second and 50 MB to unpack the vocabulary.
#[must_use]
pub fn count_tokens(request: &CreateResponse, context: &[Item]) -> u64 {
    let instructions = request.instructions.iter().map(|text| PER_MESSAGE + tokens(text));
    let items = context.iter().chain(&request.input).map(item);
    let settings = ["tools", "response_format"].into_iter().filter_map(|name| request.settings.text(name));
    instructions.chain(items).chain(settings.map(tokens)).sum::<u64>() + PRIMING
}

fn item(item: &Item) -> u64 {
    let all = |parts: &[Part]| PER_MESSAGE + parts.iter().map(part).sum::<u64>();
    match View::read(&item.0, "") {
        Ok(View::Message { content, .. } | View::Output { content, .. }) => all(&content),
        Ok(View::Call { name, arguments, .. }) => PER_MESSAGE + tokens(&name) + tokens(&arguments),
        Ok(View::Reasoning | View::Reference { .. }) | Err(_) => 0,
    }
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text(text) | Part::Refusal(text) => tokens(text),
        Part::Image { detail, .. } if detail.as_deref() == Some("low") => LOW_DETAIL,
        Part::Image { .. } => HIGH_DETAIL,
        Part::File { .. } => 0,
    }
}

/// Text is counted in stretches of this many bytes. The crate's regular expression gives up on long runs of white space, and
/// then the crate panics; it also takes more than twice the time for twice the letters without a space.
const STRETCH: usize = 64 * 1024;

/// What looks like a special token is text: it comes from the caller. Each cut between stretches may add a token.
fn tokens(text: &str) -> u64 {
    let vocabulary = tiktoken_rs::o200k_base_singleton();
    let (mut rest, mut count) = (text, 0);
    while !rest.is_empty() {
        let (stretch, behind) = rest.split_at(rest.floor_char_boundary(STRETCH));
        count += vocabulary.encode_ordinary(stretch).len() as u64;
        rest = behind;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::openai_responses::parse_items;
    use crate::model::clock::Timestamp;

    #[track_caller]
    fn check(body: &str, expected: u64) {
        let request = CreateResponse::parse_to_count(body.as_bytes(), Timestamp(0)).unwrap();
        assert_eq!(count_tokens(&request, &[]), expected, "{body}");
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
            let count = tokens(&text);
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
        let context = parse_items(format!("[{call},{output}]").as_bytes(), "items", Timestamp(0)).unwrap();
        assert_eq!(count_tokens(&request, &context), 4 + 7 + (4 + 1 + 1) + (4 + 1));
        let tools = r#"{"input":"Hello, world!","tools":[{"type":"function","name":"f"}]}"#;
        let request = CreateResponse::parse_to_count(tools.as_bytes(), Timestamp(0)).unwrap();
        assert!(count_tokens(&request, &[]) > 4 + 7 + 5);
    }
}
