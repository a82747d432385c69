//! Reads HTML.
//!
//! The tokens are read one after the other and no tree is built, so that nesting costs nothing. A tree would also correct pages whose
//! tags do not match; for the words and the breaks between them that makes no difference.

mod elements;
mod page;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use crate::watch::Watch;
use crate::{Problem, Text, charset};
use page::Page;

/// The text of a page, without its scripts and styles.
pub(crate) fn text(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    let decoded = charset::decode_html(content)?;
    let mut page = Page::new(watch);
    let emit = |event: CallbackEvent<'_>, _: Span<()>| page.event(&event).err();
    let mut emitter = CallbackEmitter::new(emit);
    // A script may contain tags as text.
    emitter.naively_switch_states(true);
    let problem = Tokenizer::new_with_emitter(&*decoded, emitter).find_map(Result::ok);
    match problem {
        Some(problem) => Err(problem),
        None => page.finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[track_caller]
    fn check(content: &str, expected: &str) {
        let watch = Watch::new(Limits::default());
        assert_eq!(text(content.as_bytes(), &watch).unwrap().as_str(), expected);
    }

    #[test]
    fn headings_and_paragraphs_become_blocks() {
        check(
            "<title>Pumps</title><body><h2>The <b>big</b>\n one</h2><p>One &amp; two.<br>Three.<div>Four</div>five",
            "# Pumps\n\n## The big one\n\nOne & two.\nThree.\n\nFour\n\nfive",
        );
    }

    #[test]
    fn scripts_styles_and_drawings_are_dropped() {
        check(
            "a<script>if (1 < 2) { '<p>no</p>' }</script><style>p {}</style><svg><g><text>no</text></g></svg><template>no</template>b",
            "ab",
        );
    }

    #[test]
    fn items_become_lines() {
        check("<p>List:<ul><li>one<li>two<ul><li>three</ul></ul>end", "List:\n\n- one\n- two\n- three\n\nend");
    }

    #[test]
    fn rows_repeat_the_header() {
        check(
            "<table><tr><th>Name<th>2025</tr><tr><td>Pump<td>12</tr><tr><td colspan=2>none</table>",
            "Name; 2025\nName: Pump; 2025: 12\nName: none",
        );
        check("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a; b\nc; d");
    }

    #[test]
    fn a_table_inside_a_cell_is_text_of_the_cell() {
        check("<table><tr><td>a<table><tr><td>b<td>c</table><td>d</table>", "a b c; d");
    }

    #[test]
    fn programs_keep_their_lines() {
        check("<p>Run:<pre>\nfn a() {\n    1\n}\n</pre>", "Run:\n\nfn a() {\n    1\n}");
    }

    #[test]
    fn pictures_are_their_description() {
        check("<p>See <img src=a.png alt='a pump'>.", "See a pump.");
    }
}
