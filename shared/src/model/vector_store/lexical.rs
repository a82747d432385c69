//! Words: what an embedding confuses, such as names, codes and numbers, is found by its words.
//!
//! A text has a lexical vector beside its embedding. Each of its words adds to four numbers of the vector that a hash of the word chooses,
//! so that texts with the same words are near each other, and the index that searches embeddings searches words as well. Different words
//! may choose the same numbers: [`Query::score`] compares the words themselves.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::DIMENSIONS;

/// Numbers of a vector that a word adds to. With one, too many words would share theirs.
const PLACES: usize = 4;
/// The largest number of a vector. Whole numbers need less room in an item, and only the direction counts.
const LARGEST: f64 = 99.0;

/// The lexical vector of a text; `None`: it has no word.
#[must_use]
pub fn lexical_vector(text: &str) -> Option<Vec<i8>> {
    vector(&count(text))
}

fn vector(words: &HashMap<String, u32>) -> Option<Vec<i8>> {
    let mut sum = vec![0.0_f64; DIMENSIONS];
    for (word, times) in words {
        let weight = weight(word) * (1.0 + f64::from(*times).ln());
        for (place, sign) in places(word) {
            sum[place] += sign * weight;
        }
    }
    let largest = sum.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    if largest == 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "no number is larger than 99")]
    Some(sum.iter().map(|number| (number / largest * LARGEST).round() as i8).collect())
}

/// The numbers that a word adds to, with their signs. Signs let words that share a number cancel out on average.
fn places(word: &str) -> [(usize, f64); PLACES] {
    let hash = Sha256::digest(word.as_bytes());
    std::array::from_fn(|n| {
        let bits = u16::from_be_bytes([hash[2 * n], hash[2 * n + 1]]);
        (usize::from(bits >> 1) % DIMENSIONS, if bits & 1 == 0 { 1.0 } else { -1.0 })
    })
}

/// The words of a query.
#[derive(Debug, Clone)]
pub struct Query {
    words: HashMap<String, u32>,
    /// The weights of all words together.
    weight: f64,
}

/// How much a second occurrence of a word counts, and how much the length of a text does: the usual constants of BM25.
const SATURATION: f64 = 1.2;
const LENGTH_SHARE: f64 = 0.5;
/// The words of a text of usual length.
const USUAL_WORDS: f64 = 400.0;

impl Query {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let words = count(text);
        let weight = words.keys().map(|word| weight(word)).sum();
        Self { words, weight }
    }

    /// The vector that finds texts with these words; `None`: the query has no word that tells texts apart.
    #[must_use]
    pub fn vector(&self) -> Option<Vec<i8>> {
        vector(&self.words)
    }

    /// The share of the query that a text has, 0 to 1, by the weights of its words. As in BM25, a word that occurs often counts
    /// more, and a word of a long text less.
    #[must_use]
    pub fn score(&self, text: &str) -> f64 {
        if self.weight == 0.0 {
            return 0.0;
        }
        let found = count(text);
        let length = f64::from(found.values().sum::<u32>()) / USUAL_WORDS;
        let damped = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length);
        let score = |word: &String| {
            let times = f64::from(*found.get(word).unwrap_or(&0));
            weight(word) * times / (times + damped)
        };
        self.words.keys().map(score).sum::<f64>() / self.weight
    }
}

/// How much a word tells. Words with digits are codes and numbers, and those that every text has tell nothing.
fn weight(word: &str) -> f64 {
    if word.bytes().any(|byte| byte.is_ascii_digit()) {
        return 3.0;
    }
    if COMMON.binary_search(&word).is_ok() {
        return 0.0;
    }
    match word.chars().count() {
        0..=3 => 0.7,
        4..=7 => 1.0,
        _ => 1.5,
    }
}

/// The words of a text, and how often each occurs.
fn count(text: &str) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for run in text.split(|character: char| !(character.is_alphanumeric() || is_joint(character))) {
        let run = run.trim_matches(is_joint);
        if run.is_empty() {
            continue;
        }
        if run.contains(is_joint) {
            add(&mut counts, run.to_lowercase());
        }
        for word in run.split(is_joint).filter(|word| !word.is_empty()) {
            add_word(&mut counts, word);
        }
    }
    counts
}

/// Joins the parts of a code, a version, a path or a name.
fn is_joint(character: char) -> bool {
    matches!(character, '-' | '_' | '.' | '/')
}

fn add_word(counts: &mut HashMap<String, u32>, word: &str) {
    if word.chars().any(is_without_spaces) {
        // Such scripts write no spaces: two characters stand for a word.
        let characters: Vec<char> = word.chars().collect();
        characters.windows(2).for_each(|two| add(counts, two.iter().collect()));
        return;
    }
    let word = word.to_lowercase();
    // The plural of English words.
    let singular = word.strip_suffix('s').filter(|stem| stem.len() >= 3 && !stem.ends_with('s'));
    match singular {
        Some(singular) => add(counts, singular.to_owned()),
        None => add(counts, word),
    }
}

fn add(counts: &mut HashMap<String, u32>, word: String) {
    *counts.entry(word).or_default() += 1;
}

/// Chinese, Japanese and Thai.
fn is_without_spaces(character: char) -> bool {
    matches!(character, '\u{0E00}'..='\u{0E7F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}')
}

/// Words that most English texts have, in order; those of four letters or more without the `s` at their end.
const COMMON: [&str; 95] = [
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before",
    "but", "by", "can", "could", "did", "do", "doe", "for", "from", "get", "had", "has", "have", "he", "her", "him",
    "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "may", "me", "more", "most", "must", "my", "no",
    "not", "of", "on", "one", "only", "or", "other", "our", "out", "over", "said", "she", "should", "so", "some",
    "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "thi", "those", "to", "under",
    "up", "upon", "us", "very", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with",
    "would", "you", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(one: &str, other: &str) -> f64 {
        let [one, other] = [one, other].map(|text| lexical_vector(text).unwrap());
        let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt()
    }

    #[test]
    fn a_code_is_found_among_texts_with_many_other_words() {
        let text = "The pump of the second line is an XK-4471 with a pressure of 12 bar, see the manual of the maker.";
        let other = "The pump of the first line is a TR-9000 with a pressure of 10 bar, see the manual of the maker.";
        let query = "Where is the XK-4471?";
        assert!(
            nearness(query, text) > 2.0 * nearness(query, other),
            "{} {}",
            nearness(query, text),
            nearness(query, other)
        );
        let query = Query::new(query);
        assert!(query.score(text) > 0.3, "{}", query.score(text));
        assert!(query.score(other) < 0.01, "{}", query.score(other));
    }

    #[test]
    fn words_are_told_apart_by_script_and_number() {
        let words = |text: &str| {
            let mut words: Vec<String> = count(text).into_keys().collect();
            words.sort();
            words
        };
        assert_eq!(words("Pumps, glass and v1.2-beta."), ["2", "and", "beta", "glass", "pump", "v1", "v1.2-beta"]);
        assert_eq!(words("東京都"), ["京都", "東京"]);
        assert_eq!(words("-- ... !"), [""; 0]);
    }

    #[test]
    fn a_text_without_words_has_no_vector_and_a_query_without_them_finds_nothing() {
        assert_eq!(lexical_vector("— … !"), None);
        let query = Query::new("What is it?");
        assert_eq!((query.vector(), query.score("It is what it is.")), (None, 0.0));
    }

    #[test]
    fn common_words_are_in_order() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn scores_lie_between_nothing_and_one() {
        let query = Query::new("red pump pump 42");
        for text in ["", "red", "red pump 42", &"red pump 42 ".repeat(1_000)] {
            assert!((0.0..=1.0).contains(&query.score(text)), "{text}");
        }
        assert!(query.score("a red pump") > query.score("a red house"));
    }
}
