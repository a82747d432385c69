use proptest::prelude::*;

use super::{Chunk, ChunkingStrategy, Chunks};
use crate::Text;

/// One token for each word and for each four bytes of a long one, as tokenizers do roughly.
fn tokens(text: &str) -> usize {
    assert!(text.len() <= 1_000, "{} bytes were counted at once", text.len());
    text.split_whitespace().map(|word| word.len().div_ceil(4)).sum()
}

fn strategy(max_tokens: usize, overlap_tokens: usize) -> ChunkingStrategy {
    ChunkingStrategy::new(max_tokens, overlap_tokens).unwrap()
}

fn chunks(text: &Text, strategy: ChunkingStrategy) -> Vec<Chunk<'_>> {
    Chunks::new(text, strategy, &tokens).collect()
}

/// So many sentences of six tokens, which differ.
fn sentences(count: usize) -> String {
    (0..count).map(|number| format!("Here is number {number:04}. ")).collect()
}

#[track_caller]
fn check(text: &Text, strategy: ChunkingStrategy) {
    let found = chunks(text, strategy);
    let mut end = 0;
    let mut last_start = None;
    for (index, chunk) in found.iter().enumerate() {
        assert_eq!(&text.as_str()[chunk.range.clone()], chunk.text);
        assert!(chunk.tokens <= strategy.max_tokens(), "{} tokens", chunk.tokens);
        assert!(tokens_of_any_length(chunk.text) <= chunk.tokens);
        assert!(last_start < Some(chunk.range.start), "chunk {index} does not advance");
        assert!(chunk.range.end > end, "chunk {index} has nothing new");
        if chunk.range.start > end {
            assert_eq!(text.as_str()[end..chunk.range.start].trim(), "", "before chunk {index}");
        } else {
            let overlap = &text.as_str()[chunk.range.start..end];
            assert!(tokens_of_any_length(overlap) <= strategy.overlap_tokens(), "{overlap}");
        }
        last_start = Some(chunk.range.start);
        end = chunk.range.end;
    }
    assert_eq!(text.as_str()[end..].trim(), "");
    assert_eq!(found, chunks(text, strategy));
}

fn tokens_of_any_length(text: &str) -> usize {
    text.split_whitespace().map(|word| word.len().div_ceil(4)).sum()
}

#[test]
fn a_short_text_is_one_chunk() {
    let text = Text::plain("  One two.\n\nThree.\n");
    let found = chunks(&text, ChunkingStrategy::default());
    assert_eq!(found, [Chunk { range: 2..18, text: "One two.\n\nThree.", tokens: 4, headings: vec![] }]);
}

#[test]
fn a_text_of_white_space_has_no_chunks() {
    assert!(chunks(&Text::plain(""), ChunkingStrategy::default()).is_empty());
    assert!(chunks(&Text::plain(" \n".repeat(5_000)), ChunkingStrategy::default()).is_empty());
}

#[test]
fn chunks_overlap_by_whole_sentences() {
    let text = Text::plain(sentences(100));
    let found = chunks(&text, strategy(100, 40));
    for pair in found.windows(2) {
        assert!(pair[0].text.ends_with('.'));
        assert!(pair[1].text.starts_with("Here"));
        let overlap = &text.as_str()[pair[1].range.start..pair[0].range.end];
        assert_eq!(overlap.matches('.').count(), 6, "{overlap}");
    }
}

#[test]
fn chunks_end_before_headings_and_then_overlap_nothing() {
    let text = Text::with_headings(format!("# A\n\n{}\n\n## B\n\n{}", sentences(14), sentences(14)));
    let found = chunks(&text, strategy(100, 50));
    assert_eq!(found.len(), 2);
    assert!(found[1].text.starts_with("## B\n\nHere is number 0000."));
    assert!(found[0].headings.is_empty());
    assert_eq!(found[1].headings, ["A"]);
}

#[test]
fn a_chunk_inside_a_section_knows_its_headings() {
    let text = Text::with_headings(format!("# A\n\n## B\n\nOne.\n\n## C\n\n{}", sentences(60)));
    let found = chunks(&text, strategy(100, 0));
    assert_eq!(found.last().unwrap().headings, ["A", "C"]);
}

#[test]
fn comments_of_programs_are_no_headings() {
    let body = format!("# comment\n{}\n", "x = 1\n".repeat(40)).repeat(4);
    let plain = Text::plain(body.clone());
    assert!(chunks(&plain, strategy(100, 0)).iter().all(|chunk| chunk.headings.is_empty()));
    let fenced = Text::with_headings(format!("# A\n\n```\n{body}```\n"));
    assert!(chunks(&fenced, strategy(100, 0)).iter().skip(1).all(|chunk| chunk.headings == ["A"]));
}

#[test]
fn chunks_end_with_paragraphs_where_they_are_not_too_short() {
    let paragraph = format!("{}\n\n", sentences(5).trim());
    let text = Text::plain(paragraph.repeat(21));
    for chunk in chunks(&text, strategy(110, 0)) {
        assert_eq!(chunk.text.matches("number 0000").count(), 3, "{}", chunk.text);
    }
}

#[test]
fn a_word_that_is_larger_than_a_chunk_is_cut_between_characters() {
    let text = Text::plain("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(500));
    let found = chunks(&text, strategy(100, 20));
    assert!(found.len() > 20);
    assert!(found.iter().all(|chunk| chunk.text.starts_with('\u{1f468}') && chunk.text.ends_with('\u{1f467}')));
    check(&text, strategy(100, 20));
}

#[test]
fn a_character_that_is_larger_than_a_chunk_is_cut_between_code_points() {
    check(&Text::plain(format!("a{}", "\u{301}".repeat(20_000))), strategy(100, 50));
}

#[test]
fn a_counter_that_finds_too_many_tokens_still_ends() {
    let text = Text::plain("abc def");
    let found: Vec<_> = Chunks::new(&text, strategy(100, 50), &|_| 1_000).collect();
    let words: Vec<_> = found.iter().map(|chunk| chunk.text).collect();
    assert_eq!(words, ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn twenty_megabytes_of_one_word_take_seconds() {
    // A tenth of it in a debug build; the time of both is linear.
    let bytes = if cfg!(debug_assertions) { 2_000_000 } else { 20_000_000 };
    let text = Text::plain("a".repeat(bytes));
    let begin = std::time::Instant::now();
    let found = Chunks::new(&text, strategy(800, 400), &tokens).count();
    assert!(found > bytes / 3_200);
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{1,9}( [a-z]{1,9}){0,12}[.?!] ",
        2 => Just("\n\n".to_owned()),
        1 => Just("\n".to_owned()),
        1 => "#{1,3} [A-Z][a-z]{1,8}\n\n",
        1 => "[ \t\n]{1,600}",
        1 => "[a-z]{1,3000}",
        1 => "\\PC{0,60}",
        1 => "(\u{65e5}|\u{672c}|\u{3002}){1,200}",
        1 => Just("```\n".to_owned()),
        1 => ("a", 1..900_usize).prop_map(|(a, n)| format!("{a}{}", "\u{301}".repeat(n))),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn chunks_cover_the_text_within_their_bounds(
        text in any_text(), has_headings: bool, max in 100..400_usize, part in 0..=100_usize,
    ) {
        let text = if has_headings { Text::with_headings(text) } else { Text::plain(text) };
        check(&text, strategy(max, max * part / 200));
    }
}
