//! The media types of files: what a content is, by its first bytes and its name.

/// The media type of PDF files.
pub const PDF: &str = "application/pdf";
/// Of texts without a type of their own.
pub const TEXT: &str = "text/plain";
/// Of contents that are neither known nor text.
pub const UNKNOWN: &str = "application/octet-stream";

/// The bytes at the beginning of a content that decide on its type.
pub const HEAD_BYTES: usize = 1_024;

/// The first bytes of some types.
const BEGINNINGS: [(&[u8], &str); 6] = [
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
];

/// The types by the ends of names.
const BY_NAME: [(&str, &str); 24] = [
    (".pdf", PDF),
    (".txt", TEXT),
    (".md", "text/markdown"),
    (".csv", "text/csv"),
    (".html", "text/html"),
    (".htm", "text/html"),
    (".json", "application/json"),
    (".doc", "application/msword"),
    (".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (".xls", "application/vnd.ms-excel"),
    (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (".ppt", "application/vnd.ms-powerpoint"),
    (".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".heic", "image/heic"),
    (".tiff", "image/tiff"),
    (".mp3", "audio/mpeg"),
    (".wav", "audio/wav"),
    (".mp4", "video/mp4"),
    (".zip", "application/zip"),
];

/// The type of a content with a name, from its first bytes ([`HEAD_BYTES`], or all if it has fewer).
///
/// The bytes come before the name: a provider refuses an image whose bytes are of another type than the named one, and a text is a
/// text whatever its name (`main.ts` is no film).
#[must_use]
pub fn of_content(head: &[u8], name: &str) -> &'static str {
    if let Some(found) = of_beginning(head) {
        return found;
    }
    let named = of_name(name);
    if is_beginning_of_text(head) {
        named.filter(|named| is_text(named)).unwrap_or(TEXT)
    } else {
        named.filter(|named| !is_text(named)).unwrap_or(UNKNOWN)
    }
}

/// The type that a file's name says; `None` for a name that says none.
#[must_use]
pub fn of_name(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    BY_NAME.iter().find(|(end, _)| name.ends_with(end)).map(|(_, media_type)| *media_type)
}

/// Whether a file of this type can be read as text.
#[must_use]
pub fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

#[must_use]
pub fn is_image(media_type: &str) -> bool {
    media_type.starts_with("image/")
}

fn of_beginning(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    // Two letters alone would make an image of a text.
    let found = BEGINNINGS.iter().find(|(begin, _)| head.starts_with(begin));
    found.filter(|(begin, _)| begin.len() > 2 || !is_beginning_of_text(head)).map(|(_, media_type)| *media_type)
}

/// Whether this is UTF-8 without zero bytes. The last character may be cut off.
fn is_beginning_of_text(head: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !head.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], name: &str, expected: &str) {
        assert_eq!(of_content(head, name), expected, "{name}");
    }

    #[test]
    fn the_bytes_come_before_the_name() {
        check(b"%PDF-1.7 ...", "a.txt", PDF);
        check(b"\x89PNG\r\n\x1a\n\0\0", "photo.jpg", "image/png");
        check(b"\xff\xd8\xff\xe0", "photo", "image/jpeg");
        check(b"RIFF\x10\0\0\0WEBPVP8 ", "a", "image/webp");
        check(b"RIFF\x10\0\0\0WAVEfmt ", "a.wav", "audio/wav");
        check(b"BM\x10\0\0\0", "a", "image/bmp");
        check(b"BMW builds cars.", "a", TEXT);
    }

    #[test]
    fn a_text_is_a_text_whatever_its_name() {
        check(b"export const a = 1;", "main.ts", TEXT);
        check(b"a,b\n1,2", "table.csv", "text/csv");
        check(b"{}", "a.JSON", "application/json");
        check(b"<svg/>", "a.svg", TEXT);
        check(b"not a document", "a.docx", TEXT);
        check("Gr\u{fc}\u{df}e".as_bytes().split_last().unwrap().1, "a", TEXT);
        check("\u{fc}".as_bytes().split_last().unwrap().1, "a.md", "text/markdown");
        check(b"", "a", TEXT);
    }

    #[test]
    fn a_content_that_is_no_text_has_the_type_of_its_name_or_none() {
        check(
            b"PK\x03\x04\0",
            "Report.DOCX",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        );
        check(b"\0\x01\x02", "a.txt", UNKNOWN);
        check(b"\xff\xfe\xff", "a", UNKNOWN);
    }
}
