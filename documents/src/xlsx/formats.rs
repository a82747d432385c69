//! The number formats of a workbook: which of them are dates.

use std::collections::HashMap;

use crate::Problem;
use crate::package::{Node, Xml};

/// Whether a style shows its numbers as dates, by the number of the style.
#[derive(Default)]
pub(super) struct Formats(Vec<bool>);

impl Formats {
    pub(super) fn read(mut xml: Xml<'_>) -> Result<Self, Problem> {
        let mut own = HashMap::new();
        let mut is_cells = false;
        let mut formats = Vec::new();
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(tag) => match tag.name() {
                    b"numFmt" => {
                        let code = tag.attribute(b"formatCode").unwrap_or_default();
                        own.extend(tag.attribute(b"numFmtId").map(|id| (id, is_date_code(&code))));
                    }
                    b"cellXfs" => is_cells = true,
                    b"xf" if is_cells => {
                        let id = tag.attribute(b"numFmtId").unwrap_or_default();
                        formats.push(own.get(&id).copied().unwrap_or_else(|| is_built_in_date(&id)));
                    }
                    _ => {}
                },
                Node::Close(b"cellXfs") => is_cells = false,
                Node::Close(_) | Node::Text(_) | Node::Other => {}
            }
        }
        Ok(Self(formats))
    }

    pub(super) fn is_date(&self, style: usize) -> bool {
        self.0.get(style).copied().unwrap_or(false)
    }
}

/// Whether one of the formats that no workbook spells out is a date.
fn is_built_in_date(id: &str) -> bool {
    matches!(id.parse(), Ok(14..=22 | 27..=36 | 45..=47 | 50..=58))
}

/// Whether a format such as `dd/mm/yyyy` is a date: it has a letter of dates outside of quotes, brackets and escapes.
fn is_date_code(code: &str) -> bool {
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => drop(chars.by_ref().find(|c| *c == '"')),
            '\\' | '_' | '*' => drop(chars.next()),
            // `[Red]` is a colour, and `[h]` counts hours beyond a day: a duration and no date.
            '[' => drop(chars.by_ref().find(|c| *c == ']')),
            // `General` has letters, none of which stands alone in a format of numbers.
            'G' | 'g' => return false,
            'd' | 'D' | 'y' | 'Y' | 'm' | 'M' | 'h' | 'H' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_dates_make_a_date_outside_of_quotes() {
        assert!(is_date_code("dd/mm/yyyy"));
        assert!(is_date_code("[$-409]h:mm AM/PM"));
        assert!(!is_date_code("#,##0.00\" days\""));
        assert!(!is_date_code("[Red]0.00"));
        assert!(!is_date_code("General"));
        assert!(!is_date_code("0.00E+00"));
        assert!(!is_date_code("_-* #,##0.00\\ \"\u{20ac}\"_-"));
    }
}
