//! Makes lines and paragraphs of glyphs.
//!
//! A pdf has no spaces, lines or paragraphs that can be relied on: only glyphs and their places. Distances tell the rest. Glyphs are taken
//! in the order in which they are drawn, which is the order of reading in almost all files, with several columns too. An order by
//! place would mix the columns.

use hayro_font::hayro_cmap::BfString;
use hayro_font::kurbo::Vec2;

use crate::Problem;
use crate::draft::Draft;

/// A distance of more than this part of the font's size is a space.
const SPACE: f64 = 0.17;
/// A glyph this far beside the line is on another line. Raised and lowered letters are nearer.
const ANOTHER_LINE: f64 = 0.5;
/// A glyph this far back begins another line.
const BACK: f64 = 0.7;
/// A line this far below, in sizes, begins a paragraph, unless all lines are that far.
const PARAGRAPH: f64 = 1.7;
/// A distance that is larger than that of the lines before by this factor begins a paragraph.
const LARGER: f64 = 1.25;
/// A font that is larger or smaller by this factor begins a paragraph.
const ANOTHER_SIZE: f64 = 1.15;
/// A line that has this part of its paragraph's width was broken because it was full.
const FULL: f64 = 0.85;
/// And it has this width, in sizes: shorter lines are lists, addresses and tables.
const FULL_SIZES: f64 = 15.0;

/// Where a glyph stands.
pub(super) struct Shown {
    pub(super) start: Vec2,
    pub(super) end: Vec2,
    /// Of the line, with length one.
    pub(super) direction: Vec2,
    pub(super) size: f64,
}

/// The lines of a page.
#[derive(Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    last: Option<Shown>,
    /// From the line before to this one.
    distance: Option<f64>,
}

struct Line {
    text: String,
    width: f64,
    size: f64,
    begins_paragraph: bool,
}

/// What a glyph does to the text.
enum Break {
    None,
    Space,
    Line,
    Paragraph,
}

impl Lines {
    /// Adds a glyph.
    pub(super) fn show(&mut self, shown: &Shown, text: &BfString) {
        let mut buffer = [0; 4];
        let text = match text {
            BfString::Char(c) => c.encode_utf8(&mut buffer),
            BfString::String(text) => text.as_str(),
        };
        let is_space = text.trim().is_empty();
        match self.break_before(shown) {
            Break::None => {}
            // A space of the file's own moves nothing, so that the next glyph is measured from the last word.
            Break::Space | Break::Line | Break::Paragraph if is_space => {}
            Break::Space => self.add_space(),
            Break::Line => self.begin_line(false),
            Break::Paragraph => self.begin_line(true),
        }
        if is_space {
            return self.add_space();
        }
        if self.lines.is_empty() {
            self.begin_line(true);
        }
        if let Some(line) = self.lines.last_mut() {
            line.width += advance(self.last.as_ref(), shown, line.text.is_empty());
            line.size = line.size.max(shown.size);
            text.chars().for_each(|c| push(&mut line.text, c));
        }
        self.last = Some(Shown { ..*shown });
    }

    fn break_before(&mut self, shown: &Shown) -> Break {
        let Some(last) = &self.last else { return Break::Paragraph };
        if last.direction.dot(shown.direction) < 0.9 {
            self.distance = None;
            return Break::Paragraph;
        }
        let by = shown.start - last.end;
        let along = by.dot(shown.direction);
        // Down is positive.
        let down = -shown.direction.cross(by);
        let size = last.size.max(shown.size);
        if down.abs() <= ANOTHER_LINE * size {
            return match along {
                along if along < -BACK * size => Break::Line,
                along if along > SPACE * size => Break::Space,
                _ => Break::None,
            };
        }
        let before = self.distance.replace(down);
        let is_far = match before {
            Some(before) => down > LARGER * before,
            None => down > PARAGRAPH * size,
        };
        let is_other_size = size > ANOTHER_SIZE * last.size.min(shown.size);
        // A line further up is the next column.
        if down < 0.0 || is_far || is_other_size {
            self.distance = None;
            return Break::Paragraph;
        }
        Break::Line
    }

    fn add_space(&mut self) {
        if let Some(line) = self.lines.last_mut()
            && !line.text.is_empty()
            && !line.text.ends_with(' ')
        {
            line.text.push(' ');
        }
    }

    fn begin_line(&mut self, begins_paragraph: bool) {
        self.lines.push(Line { text: String::new(), width: 0.0, size: 0.0, begins_paragraph });
    }

    /// Writes the paragraphs of the page.
    pub(super) fn write(self, draft: &mut Draft<'_>) -> Result<(), Problem> {
        let mut lines = self.lines.as_slice();
        while let Some((first, rest)) = lines.split_first() {
            let more = rest.iter().position(|line| line.begins_paragraph).unwrap_or(rest.len());
            let (paragraph, next) = lines.split_at(more + 1);
            let width = paragraph.iter().map(|line| line.width).fold(first.width, f64::max);
            draft.paragraph(&joined(paragraph, width))?;
            lines = next;
        }
        Ok(())
    }
}

/// The lines of a paragraph. Lines that were broken because they were full are one line again, so that a sentence is not in pieces.
fn joined(lines: &[Line], width: f64) -> String {
    let mut text = String::new();
    let mut was_full = false;
    for line in lines {
        let next = line.text.trim();
        if next.is_empty() {
            continue;
        }
        let ends_sentence = text.ends_with(['.', '!', '?', ':', ';']);
        if is_hyphenated(&text, next) {
            text.pop();
        } else if !text.is_empty() {
            text.push(if was_full && !ends_sentence { ' ' } else { '\n' });
        }
        text.push_str(next);
        was_full = line.width >= (FULL * width).max(FULL_SIZES * line.size);
    }
    text
}

/// Whether a word was divided between two lines.
fn is_hyphenated(text: &str, next: &str) -> bool {
    let mut end = text.chars().rev();
    matches!(end.next(), Some('-' | '\u{2010}' | '\u{ad}'))
        && end.next().is_some_and(char::is_alphabetic)
        && next.starts_with(char::is_lowercase)
}

/// How much longer a line is with a glyph.
fn advance(last: Option<&Shown>, shown: &Shown, is_first: bool) -> f64 {
    let from = last.filter(|_| !is_first).map_or(shown.start, |last| last.end);
    (shown.end - from).dot(shown.direction)
}

/// Adds a character; letters that printers join become letters again, so that words with them are found.
fn push(text: &mut String, c: char) {
    match c {
        '\u{fb00}' => text.push_str("ff"),
        '\u{fb01}' => text.push_str("fi"),
        '\u{fb02}' => text.push_str("fl"),
        '\u{fb03}' => text.push_str("ffi"),
        '\u{fb04}' => text.push_str("ffl"),
        '\u{fb05}' | '\u{fb06}' => text.push_str("st"),
        c if c.is_control() => {}
        c => text.push(c),
    }
}
