//! Reads csv and tsv.

use crate::draft::Draft;
use crate::table::Table;
use crate::watch::Watch;
use crate::{Problem, Text, charset};

/// The bytes in which the delimiter is looked for.
const SAMPLE_BYTES: usize = 4 * 1_024;

/// The text of a table; without a delimiter, the one that its first line has most.
pub(crate) fn text(content: &[u8], delimiter: Option<u8>, watch: &Watch) -> Result<Text, Problem> {
    let decoded = charset::decode(content)?;
    let delimiter = delimiter.unwrap_or_else(|| delimiter_of(&decoded));
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(decoded.as_bytes());
    let mut draft = Draft::new(watch);
    let mut table = Table::new();
    let mut row = csv::StringRecord::new();
    // Rows of different lengths are allowed and the text is UTF-8, so no row is an error; the reader's last word is `false`.
    while rows.read_record(&mut row).map_err(|_| Problem::Broken("a row of the table cannot be read"))? {
        watch.step()?;
        table.row(row.iter().enumerate(), &mut draft)?;
    }
    draft.finish()
}

/// The delimiter that stands most often in the first line, outside of quotes. A program in a country with decimal commas writes semicolons.
fn delimiter_of(text: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut is_quoted = false;
    for byte in text.trim_start().bytes().take(SAMPLE_BYTES) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if !is_quoted => counts.iter_mut().filter(|(delimiter, _)| *delimiter == byte).for_each(|(_, n)| *n += 1),
            _ => {}
        }
    }
    // The first of several is kept: `max_by_key` returns the last.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[track_caller]
    fn check(content: &str, expected: &str) {
        let watch = Watch::new(Limits::default());
        assert_eq!(text(content.as_bytes(), None, &watch).unwrap().as_str(), expected);
    }

    #[test]
    fn rows_repeat_the_header() {
        check(
            "name,price\nPump,12\n\"Valve, big\",7\n",
            "name; price\nname: Pump; price: 12\nname: Valve, big; price: 7",
        );
    }

    #[test]
    fn finds_the_delimiter() {
        check("name;price\nPump;1,5\n", "name; price\nname: Pump; price: 1,5");
        check("name\tprice\nPump\t12\n", "name; price\nname: Pump; price: 12");
        check("\"a;b;c;d\",price\nPump,12\n", "a;b;c;d; price\na;b;c;d: Pump; price: 12");
    }

    #[test]
    fn a_quoted_cell_may_have_lines() {
        check("name,note\nPump,\"one\ntwo\"\n", "name; note\nname: Pump; note: one two");
    }

    #[test]
    fn rows_of_other_lengths_and_open_quotes_are_read() {
        check("a,b\n1\n1,2,3\n\"x", "a; b\na: 1\na: 1; b: 2; 3\na: x");
    }
}
