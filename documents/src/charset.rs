//! Turns the bytes of a text into characters.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::Problem;

/// The answer to a file whose name says text and whose content is none.
pub(crate) const NOT_TEXT: Problem = Problem::Unsupported(
    "the file is not text; supported are text and code files, pdf, docx, pptx, xlsx, html, markdown, csv and json",
);

/// The bytes in which a page of HTML names its encoding.
const DECLARATION_BYTES: usize = 1_024;

/// The characters of a text: UTF-8, UTF-16 with a byte order mark, or windows-1252 for all that is neither.
///
/// # Errors
/// `Unsupported` if the content is no text.
pub(crate) fn decode(content: &[u8]) -> Result<Cow<'_, str>, Problem> {
    decode_as(content, None)
}

/// The characters of a page of HTML, whose own declaration counts where it is not UTF-8.
pub(crate) fn decode_html(content: &[u8]) -> Result<Cow<'_, str>, Problem> {
    decode_as(content, declared(content))
}

fn decode_as<'a>(content: &'a [u8], declared: Option<&'static Encoding>) -> Result<Cow<'a, str>, Problem> {
    if let Some((encoding, mark)) = Encoding::for_bom(content) {
        let text = encoding.decode_without_bom_handling(&content[mark..]).0;
        return checked(text);
    }
    if let Ok(text) = std::str::from_utf8(content) {
        return checked(Cow::Borrowed(text));
    }
    // A zero byte is part of a character in UTF-16 only, and that has a mark.
    if content.contains(&0) || has_many_controls(content) {
        return Err(NOT_TEXT);
    }
    let encoding = declared.unwrap_or_else(|| if is_nearly_utf8(content) { UTF_8 } else { WINDOWS_1252 });
    checked(encoding.decode_without_bom_handling(content).0)
}

fn checked(text: Cow<'_, str>) -> Result<Cow<'_, str>, Problem> {
    if text.contains('\0') || has_many_controls(text.as_bytes()) { Err(NOT_TEXT) } else { Ok(text) }
}

/// Whether more than one byte in fifty is a control character that no text has.
fn has_many_controls(content: &[u8]) -> bool {
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    content.iter().filter(is_control).count() * 50 > content.len()
}

/// Whether a text that is not UTF-8 was meant to be: most of its characters beyond ASCII are. A single wrong byte, or the half
/// character at the end of a file that was cut off, must not turn all others into pairs of strange letters.
fn is_nearly_utf8(content: &[u8]) -> bool {
    let mut good = 0;
    let mut bad = 0;
    for chunk in content.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += chunk.invalid().len();
    }
    good > bad * 2
}

/// The encoding that a page names in its first bytes: `<meta charset="...">`.
fn declared(content: &[u8]) -> Option<&'static Encoding> {
    let head = &content[..content.len().min(DECLARATION_BYTES)];
    let at = head.windows(8).position(|window| window.eq_ignore_ascii_case(b"charset="))?;
    let value = &head[at + 8..];
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"-_:.".contains(byte));
    Encoding::for_label(&value[..end.unwrap_or(value.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &[u8], expected: &str) {
        assert_eq!(decode(content).unwrap(), expected);
    }

    #[test]
    fn reads_utf8_with_and_without_a_mark() {
        check("Grüße".as_bytes(), "Grüße");
        check("\u{feff}Grüße".as_bytes(), "Grüße");
    }

    #[test]
    fn reads_utf16_with_a_mark() {
        check(b"\xff\xfeG\0r\0\xfc\0", "Grü");
        check(b"\xfe\xff\0G\0r\0\xfc", "Grü");
    }

    #[test]
    fn reads_windows_1252_where_it_is_not_utf8() {
        check(b"Gr\xfc\xdfe \x96 \x80 5", "Grüße \u{2013} € 5");
    }

    #[test]
    fn a_wrong_byte_leaves_the_other_characters_alone() {
        check(b"Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln \xff!", "Grüße aus Köln \u{fffd}!");
    }

    #[test]
    fn a_page_names_its_encoding() {
        let page = b"<meta charset=\"shift_jis\"><p>\x93\xfa\x96\x7b</p>";
        assert_eq!(decode_html(page).unwrap(), "<meta charset=\"shift_jis\"><p>\u{65e5}\u{672c}</p>");
    }

    #[test]
    fn refuses_what_is_no_text() {
        assert_eq!(decode(b"\x7fELF\x02\x01\x01\0\0\0"), Err(NOT_TEXT));
        assert_eq!(decode(b"G\0r\0\xfc\0"), Err(NOT_TEXT));
        assert_eq!(decode(&[1, 2, 3, 200]), Err(NOT_TEXT));
    }
}
