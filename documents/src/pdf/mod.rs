//! Reads pdf.
//!
//! `hayro-syntax` parses the file and `hayro-font` maps codes to characters. Neither bounds what it unpacks or allocates, so
//! [`guard`] looks at a file before the parser does, and each stream and font is measured before it is used.

mod content;
mod fonts;
mod guard;
mod lines;
mod measure;
mod prefix;

use hayro_syntax::object::dict::keys::CONTENTS;
use hayro_syntax::object::{Array, Object, Stream};
use hayro_syntax::page::Page;
use hayro_syntax::{LoadPdfError, Pdf};

use crate::draft::Draft;
use crate::watch::Watch;
use crate::{Problem, Text};
use content::Content;
use fonts::Fonts;
use lines::Lines;

/// The text of a pdf: its pages in order, their words in the order in which the page draws them. Words in pictures, in form fields and
/// in notes are left out.
pub(crate) fn text(mut content: Vec<u8>, watch: &Watch) -> Result<Text, Problem> {
    guard::secure(&mut content, watch)?;
    let pdf = Pdf::new(content).map_err(problem)?;
    let pages = pdf.pages();
    watch.check_pages(pages.len(), "the pages")?;
    let mut fonts = Fonts::new(watch);
    let mut draft = Draft::new(watch);
    for page in pages.iter() {
        watch.look()?;
        let mut lines = Lines::default();
        let data = page_content(page, watch)?;
        Content::new(&mut fonts, &mut lines, watch).read(&data, page.resources())?;
        lines.write(&mut draft)?;
    }
    draft.finish()
}

/// What a page draws. Its parts are one after the other, whatever breaks there are between them.
///
/// The parser's own method for this keeps the content of each page, and does not measure it.
fn page_content(page: &Page<'_>, watch: &Watch) -> Result<Vec<u8>, Problem> {
    let dict = page.raw();
    if let Some(stream) = dict.get::<Stream<'_>>(CONTENTS) {
        return Ok(unpacked(&stream, watch).unwrap_or_default());
    }
    let mut content = Vec::new();
    let parts = dict.get::<Array<'_>>(CONTENTS);
    for part in parts.iter().flat_map(|parts| parts.iter::<Object<'_>>()) {
        watch.step()?;
        let Some(stream) = part.into_stream() else { continue };
        content.extend(unpacked(&stream, watch).unwrap_or_default());
        // Streams must have at least one whitespace in-between.
        content.push(b' ');
        if content.len() as u64 > max_stream_bytes(watch) {
            return Err(Problem::TooLarge { what: "the bytes of a page", limit: max_stream_bytes(watch) });
        }
    }
    Ok(content)
}

/// The unpacked bytes of a stream. `None` if it is damaged or too large: a page without a picture's words is better than no page.
fn unpacked(stream: &Stream<'_>, watch: &Watch) -> Option<Vec<u8>> {
    measure::unpacked_bytes(stream, max_stream_bytes(watch)).ok()?;
    stream.decoded_data().ok().map(std::borrow::Cow::into_owned)
}

/// The bytes of a stream that is unpacked while a page is read. One at a time is in memory.
fn max_stream_bytes(watch: &Watch) -> u64 {
    watch.limits().unpacked_bytes / 4
}

fn problem(error: LoadPdfError) -> Problem {
    match error {
        LoadPdfError::Decryption(_) => Problem::Encrypted,
        LoadPdfError::Invalid => Problem::Broken("its objects or its pages cannot be found"),
    }
}
