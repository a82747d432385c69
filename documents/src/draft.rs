//! Writes the text of a document, within its bounds.

use crate::watch::Watch;
use crate::{Problem, Text};

/// The text so far. Blocks are separated by blank lines.
pub(crate) struct Draft<'w> {
    text: String,
    watch: &'w Watch,
}

impl<'w> Draft<'w> {
    pub(crate) fn new(watch: &'w Watch) -> Self {
        Self { text: String::new(), watch }
    }

    /// Adds a paragraph. Its lines stay lines; one without words adds nothing.
    pub(crate) fn paragraph(&mut self, text: &str) -> Result<(), Problem> {
        self.block("", text.trim_end().trim_start_matches(['\n', '\r']))
    }

    /// Adds a heading, on one line whatever it contains.
    pub(crate) fn heading(&mut self, level: usize, text: &str) -> Result<(), Problem> {
        let line = one_line(text);
        let mark = &"###### "[6 - level.clamp(1, 6)..];
        self.block(mark, &line)
    }

    /// Adds a line below the last one, without a blank line between them: the next row of a table, the next item of a list.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Problem> {
        self.part("\n", "", text)
    }

    fn block(&mut self, mark: &str, text: &str) -> Result<(), Problem> {
        self.part("\n\n", mark, text)
    }

    fn part(&mut self, separator: &str, mark: &str, text: &str) -> Result<(), Problem> {
        self.watch.step()?;
        if text.trim().is_empty() {
            return Ok(());
        }
        let limit = self.watch.limits().text_bytes;
        if self.text.len() + separator.len() + mark.len() + text.len() > limit {
            return Err(Problem::TooLarge { what: "the bytes of text", limit: limit as u64 });
        }
        if !self.text.is_empty() {
            self.text.push_str(separator);
        }
        self.text.push_str(mark);
        // Control characters stand for nothing in a text, and NUL is an end of text to many programs.
        let is_clean = !text.contains(is_noise);
        if is_clean {
            self.text.push_str(text)
        } else {
            self.text.extend(text.chars().filter(|c| !is_noise(*c)))
        }
        Ok(())
    }

    /// The text, with headings.
    ///
    /// # Errors
    /// `NoText` if nothing was written.
    pub(crate) fn finish(self) -> Result<Text, Problem> {
        if self.text.trim().is_empty() {
            return Err(Problem::NoText);
        }
        Ok(Text::with_headings(self.text))
    }
}

/// Whether this is a control character other than a tab or the end of a line, or half of a surrogate that a parser replaced.
pub(crate) fn is_noise(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{feff}' || c == '\u{ad}'
}

/// The text with each run of white space as one space.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn blocks_are_separated_by_blank_lines_and_lines_are_not() {
        let watch = Watch::new(Limits::default());
        let mut draft = Draft::new(&watch);
        draft.heading(2, " The\n first ").unwrap();
        draft.paragraph("One.\nTwo.\n").unwrap();
        draft.paragraph("  \n ").unwrap();
        draft.line("- three").unwrap();
        assert_eq!(draft.finish().unwrap().as_str(), "## The first\n\nOne.\nTwo.\n- three");
    }

    #[test]
    fn control_characters_are_dropped() {
        let watch = Watch::new(Limits::default());
        let mut draft = Draft::new(&watch);
        draft.paragraph("a\0b\u{c}c\td").unwrap();
        assert_eq!(draft.finish().unwrap().as_str(), "abc\td");
    }

    #[test]
    fn a_text_above_its_limit_is_refused() {
        let watch = Watch::new(Limits { text_bytes: 10, ..Limits::default() });
        let mut draft = Draft::new(&watch);
        draft.paragraph("12345").unwrap();
        let refused = draft.paragraph("6789").unwrap_err();
        assert_eq!(refused, Problem::TooLarge { what: "the bytes of text", limit: 10 });
    }

    #[test]
    fn a_document_without_words_has_no_text() {
        let watch = Watch::new(Limits::default());
        assert_eq!(Draft::new(&watch).finish(), Err(Problem::NoText));
    }
}
