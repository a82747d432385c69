//! Texts that stay as they are: prose, programs, Markdown, JSON.

use std::borrow::Cow;

use crate::draft::is_noise;
use crate::watch::Watch;
use crate::{Problem, Text, charset};

/// The text of a file without headings.
pub(crate) fn text(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    clean(content, watch).map(Text::plain)
}

/// The text of a file with headings in Markdown's form.
pub(crate) fn markdown(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    clean(content, watch).map(Text::with_headings)
}

/// The characters without control characters, with `\n` at the ends of lines.
fn clean(content: &[u8], watch: &Watch) -> Result<String, Problem> {
    let limit = watch.limits().text_bytes;
    let text = charset::decode(content)?;
    if text.len() > limit {
        return Err(Problem::TooLarge { what: "the bytes of text", limit: limit as u64 });
    }
    watch.look()?;
    let text = ends_of_lines(text);
    let text = if text.contains(is_noise) { text.chars().filter(|c| !is_noise(*c)).collect() } else { text };
    if text.trim().is_empty() { Err(Problem::NoText) } else { Ok(text) }
}

fn ends_of_lines(text: Cow<'_, str>) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn ends_of_lines_are_newlines_and_noise_is_dropped() {
        let watch = Watch::new(Limits::default());
        let read = text(b"one\r\ntwo\rthree\x0c\n", &watch).unwrap();
        assert_eq!(read, Text::plain("one\ntwo\nthree\n"));
    }

    #[test]
    fn only_markdown_has_headings() {
        let watch = Watch::new(Limits::default());
        assert!(markdown(b"# a", &watch).unwrap().has_headings());
        assert!(!text(b"# a", &watch).unwrap().has_headings());
    }

    #[test]
    fn a_file_of_white_space_has_no_text() {
        assert_eq!(text(b" \n\t\r\n", &Watch::new(Limits::default())), Err(Problem::NoText));
        assert_eq!(text(b"", &Watch::new(Limits::default())), Err(Problem::NoText));
    }
}
