//! Kinds by the first bytes of files.

use super::DocumentKind;
use crate::package;

/// What the bytes of a file say about it.
pub(super) enum Signature {
    Kind(DocumentKind),
    /// A document of Office inside the container that carries its password.
    EncryptedOffice,
    Refused(&'static str),
}

const NO_TEXT: &str = "the file is not text, whatever its name: images, sound, archives and programs are not supported";
const OLD_OFFICE: &str = "the formats of Office 97 are not supported; save the document as docx, xlsx, pptx or pdf";
const RICH_TEXT: &str = "the format rtf is not supported; save the document as docx or pdf";

/// The bytes in which a pdf may begin: readers accept a few lines before its first.
const PDF_HEAD_BYTES: usize = 1_024;
/// The first bytes of Office's old container.
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The first bytes of files that are no documents, and that can look like text in windows-1252.
const NO_TEXTS: &[&[u8]] =
    &[b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"\x7fELF", b"Rar!", b"7z\xbc\xaf", b"ID3"];

/// What the bytes of a file say about it; `None` if they may be a text.
pub(super) fn of(content: &[u8]) -> Option<Signature> {
    if content.starts_with(b"PK\x03\x04") {
        return Some(package::kind(content).map_or(Signature::Refused(NO_TEXT), Signature::Kind));
    }
    if content.starts_with(OLE) {
        return Some(of_ole(content));
    }
    if content.starts_with(b"{\\rtf") {
        return Some(Signature::Refused(RICH_TEXT));
    }
    if NO_TEXTS.iter().any(|begin| content.starts_with(begin)) {
        return Some(Signature::Refused(NO_TEXT));
    }
    is_pdf(content).then_some(Signature::Kind(DocumentKind::Pdf))
}

/// Whether a pdf begins here. A text may speak of `%PDF-`: only white space and comments may stand before it.
fn is_pdf(content: &[u8]) -> bool {
    let head = &content[..content.len().min(PDF_HEAD_BYTES)];
    let mut lines = head.split(|byte| matches!(byte, b'\n' | b'\r'));
    let first = lines.find(|line| !line.trim_ascii().is_empty());
    first.is_some_and(|line| {
        line.trim_ascii().strip_prefix(b"\xef\xbb\xbf").unwrap_or(line.trim_ascii()).starts_with(b"%PDF-")
    })
}

/// Whether a page of HTML begins here.
pub(super) fn is_html(content: &[u8]) -> bool {
    let head = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
    [b"<!doctype html".as_slice(), b"<html"]
        .iter()
        .any(|begin| head.get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin)))
}

fn of_ole(content: &[u8]) -> Signature {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if memchr::memmem::find(content, &name).is_some() {
        return Signature::EncryptedOffice;
    }
    Signature::Refused(OLD_OFFICE)
}
