//! The kinds of documents, and how a file tells its kind.

mod extensions;
mod signature;

use crate::{Problem, charset};
use extensions::Named;
use signature::Signature;

/// The bytes at the beginning of a file that tell whether it is text.
const HEAD_BYTES: usize = 8 * 1_024;

/// How a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// Prose, programs, JSON, XML, logs: all that is read as it is.
    Text,
    Markdown,
    Csv,
    Tsv,
    Html,
    Docx,
    Pptx,
    Xlsx,
    Pdf,
}

impl DocumentKind {
    /// The kind of a file. The extension of its name decides, unless its first bytes show that it is something else.
    ///
    /// # Errors
    /// `Unsupported` with the formats to use instead; `Encrypted` for a document of Office with a password, which is another format.
    pub fn of(filename: &str, content: &[u8]) -> Result<Self, Problem> {
        let named = extensions::named(filename);
        if let Named::Refused(reason) = named {
            return Err(Problem::Unsupported(reason));
        }
        match signature::of(content) {
            Some(Signature::Kind(kind)) => Ok(kind),
            Some(Signature::EncryptedOffice) => Err(Problem::Encrypted),
            Some(Signature::Refused(reason)) => Err(Problem::Unsupported(reason)),
            None => Self::of_unsigned(named, content),
        }
    }

    /// The kind of a file without a signature: a text, or a document that lost its beginning.
    fn of_unsigned(named: Named, content: &[u8]) -> Result<Self, Problem> {
        if let Named::Kind(kind) = named
            && kind.is_signed()
        {
            // Servers answer with a page that says "not found", and the page is saved under the name of the document.
            return if signature::is_html(content) { Ok(Self::Html) } else { Ok(kind) };
        }
        let head = &content[..content.len().min(HEAD_BYTES)];
        charset::decode(head)?;
        match named {
            Named::Kind(kind) => Ok(kind),
            _ if signature::is_html(content) => Ok(Self::Html),
            _ => Ok(Self::Text),
        }
    }

    /// Whether each file of the kind begins with a signature.
    fn is_signed(self) -> bool {
        match self {
            Self::Docx | Self::Pptx | Self::Xlsx | Self::Pdf => true,
            Self::Text | Self::Markdown | Self::Csv | Self::Tsv | Self::Html => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filename: &str, content: &[u8], expected: DocumentKind) {
        assert_eq!(DocumentKind::of(filename, content), Ok(expected), "{filename}");
    }

    #[track_caller]
    fn check_refused(filename: &str, content: &[u8], words: &str) {
        let problem = DocumentKind::of(filename, content).unwrap_err();
        assert!(problem.to_string().contains(words), "{filename}: {problem}");
        assert_eq!(problem.code(), "unsupported_file");
    }

    #[test]
    fn the_extension_decides() {
        check("a.txt", b"text", DocumentKind::Text);
        check("README.MD", b"# text", DocumentKind::Markdown);
        check("src/main.rs", b"fn main() {}", DocumentKind::Text);
        check("data.json", b"{}", DocumentKind::Text);
        check("table.csv", b"a,b", DocumentKind::Csv);
        check("table.tsv", b"a\tb", DocumentKind::Tsv);
        check("page.htm", b"text", DocumentKind::Html);
        check("a.pdf", b"%PDF-1.7", DocumentKind::Pdf);
    }

    #[test]
    fn the_signature_decides_where_the_extension_lies_or_is_missing() {
        check("a.txt", b"%PDF-1.7", DocumentKind::Pdf);
        check("a.docx", b"\n%PDF-1.7", DocumentKind::Pdf);
        check("a", b"%PDF-1.7", DocumentKind::Pdf);
        check("report.pdf", b"<!DOCTYPE html><p>Not found", DocumentKind::Html);
        check("a", b"<html>", DocumentKind::Html);
        check("Makefile", b"all:", DocumentKind::Text);
        check("a.unknown", b"text", DocumentKind::Text);
        check("a.php", b"<html><?php", DocumentKind::Text);
    }

    #[test]
    fn a_document_that_lost_its_beginning_keeps_the_kind_of_its_name() {
        check("a.pdf", b"\0\x01", DocumentKind::Pdf);
        check("a.docx", b"", DocumentKind::Docx);
    }

    #[test]
    fn refuses_old_and_other_formats_by_name_with_what_to_do() {
        check_refused("a.doc", b"anything", "docx");
        check_refused("a.xls", b"anything", "xlsx");
        check_refused("a.ppt", b"anything", "pptx");
        check_refused("photo.PNG", b"anything", "not text");
        check_refused("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "docx");
        check_refused("a.txt", b"{\\rtf1 text}", "rtf");
    }

    #[test]
    fn refuses_a_binary_file_with_the_extension_of_a_text() {
        check_refused("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text");
        check_refused("a.py", b"\x7fELF\x02\x01\x01\0\0", "not text");
        check_refused("a", b"PK\x03\x04\0\0\0\0", "not text");
    }

    #[test]
    fn an_office_document_with_a_password_is_encrypted() {
        let mut content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        content.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(DocumentKind::of("a.docx", &content), Err(Problem::Encrypted));
    }
}
