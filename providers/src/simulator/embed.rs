//! Simulated embeddings: bags of hashed words. Texts with common words are near each other.

use serde::Deserialize;
use serde_json::Value;
use shared::model::id::Fingerprint;
use shared::model::provider::{Failure, ProviderRequest, Reply};

use super::{invalid_request, text};
use crate::answer;

const DEFAULT_DIMENSIONS: usize = 256;
const MAX_DIMENSIONS: usize = 4_096;
/// OpenAI's limit.
const MAX_INPUTS: usize = 2_048;
/// The most numbers of an answer: 4 MB of base64, or 20 MB of JSON.
const MAX_NUMBERS: usize = 1 << 20;
/// The most additions of one number. They take about a tenth of a second.
const MAX_ADDITIONS: usize = 1 << 26;

/// The spellings of `input`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u64>),
    TokenLists(Vec<Vec<u64>>),
}

impl Input {
    /// The words of each input.
    fn bags(self) -> Vec<Vec<String>> {
        match self {
            Self::Text(text) => vec![words(&text)],
            Self::Texts(texts) => texts.iter().map(|text| words(text)).collect(),
            Self::Tokens(tokens) => vec![names(&tokens)],
            Self::TokenLists(lists) => lists.iter().map(|tokens| names(tokens)).collect(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }

    fn tokens(&self) -> u64 {
        match self {
            Self::Text(text) => text::count(text),
            Self::Texts(texts) => texts.iter().map(|text| text::count(text)).sum(),
            Self::Tokens(tokens) => tokens.len() as u64,
            Self::TokenLists(lists) => lists.iter().map(|tokens| tokens.len() as u64).sum(),
        }
    }
}

pub(super) fn embed(call: &ProviderRequest) -> Result<Reply, Failure> {
    let input: Input = call.body.get("input").ok_or_else(|| {
        invalid_request("input", "`input` must be a string, an array of strings or of tokens, or an array of such")
    })?;
    let dimensions = match call.body.get::<Value>("dimensions") {
        None => DEFAULT_DIMENSIONS,
        Some(value) => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| (1..=MAX_DIMENSIONS).contains(number))
            .ok_or_else(|| {
                invalid_request("dimensions", format!("`dimensions` must be between 1 and {MAX_DIMENSIONS}"))
            })?,
    };
    let base64 = answer::wants_base64(&call.body);
    if input.len() > MAX_INPUTS {
        return Err(invalid_request("input", format!("`input` has more than {MAX_INPUTS} texts")));
    }
    let (count, used) = (input.len(), input.tokens());
    let bags = input.bags();
    let words: usize = bags.iter().map(Vec::len).sum();
    if count * dimensions > MAX_NUMBERS || words * dimensions > MAX_ADDITIONS {
        let message = format!(
            "the simulator makes at most {MAX_NUMBERS} numbers of {} words at {dimensions} dimensions; shorten `input`",
            MAX_ADDITIONS / dimensions
        );
        return Err(invalid_request("input", message));
    }
    let vectors: Vec<_> = bags.iter().map(|words| vector(words, dimensions)).collect();
    Ok(Reply::from(answer::embeddings(&call.model, &vectors, base64, used)))
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn names(tokens: &[u64]) -> Vec<String> {
    tokens.iter().map(u64::to_string).collect()
}

/// A vector of length 1: the sum of one pseudo-random direction per word.
fn vector(words: &[String], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    add_direction(&mut sum, "", 0.1);
    for word in words {
        add_direction(&mut sum, word, 1.0);
    }
    let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "embeddings are single precision")]
    sum.iter().map(|number| (number / length) as f32).collect()
}

fn add_direction(sum: &mut [f64], word: &str, weight: f64) {
    let name = Fingerprint::of([word.as_bytes()]);
    let mut state = u64::from_str_radix(name.as_str().get(..16).unwrap_or("0"), 16).unwrap_or(0);
    for number in sum {
        state = splitmix(state);
        // Turns the upper 53 bits into a number from -1 to 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        *number += weight * unit;
    }
}

/// One step of the generator `SplitMix64`. Unlike the generators of `rand`, it never changes.
fn splitmix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(one: &str, other: &str) -> f32 {
        let (one, other) = (vector(&words(one), 256), vector(&words(other), 256));
        one.iter().zip(&other).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_with_words_in_common_are_nearer() {
        let near = nearness("How do I reset my password?", "how can I reset a password");
        let far = nearness("How do I reset my password?", "Bananas grow in warm countries");
        assert!(near > 0.5 && far < 0.3, "{near} {far}");
    }

    #[test]
    fn every_vector_has_length_one() {
        for text in ["", "a", "many words of one text"] {
            assert!((nearness(text, text) - 1.0).abs() < 1e-5, "{text}");
        }
    }
}
