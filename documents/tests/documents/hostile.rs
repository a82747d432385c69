//! Files that want to do harm, other than pdfs.

use std::time::{Duration, Instant};

use crate::build::{archive, docx, pptx, xlsx};
use documents::{ChunkingStrategy, Chunks, DocumentKind, Limits, Problem, Text, extract};
use proptest::prelude::*;

fn read_as(kind: DocumentKind, content: impl Into<Vec<u8>>) -> Result<String, Problem> {
    extract(content.into(), kind, &Limits::within(Duration::from_secs(20))).map(Text::into_string)
}

#[track_caller]
fn check_too_large(kind: DocumentKind, content: Vec<u8>) {
    let problem = read_as(kind, content).unwrap_err();
    assert!(matches!(problem, Problem::TooLarge { .. }), "{problem:?}");
    assert_eq!(problem.code(), "invalid_file");
}

#[test]
fn a_zip_bomb_is_refused() {
    // Many small elements, so that no single one is too large.
    let limits = Limits { unpacked_bytes: 4 << 20, ..Limits::default() };
    let problem = extract(docx(&"<w:p/>".repeat(1 << 20)), DocumentKind::Docx, &limits).unwrap_err();
    assert_eq!(problem, Problem::TooLarge { what: "the unpacked bytes", limit: 4 << 20 });
}

#[test]
fn a_bomb_of_one_element_is_refused() {
    check_too_large(DocumentKind::Docx, docx(&format!("<w:p><w:t>{}</w:t></w:p>", "a".repeat(45 << 20))));
    check_too_large(DocumentKind::Docx, docx(&format!("<w:p a=\"{}\"/>", "a".repeat(45 << 20))));
}

#[test]
fn an_archive_inside_of_a_document_is_not_unpacked() {
    let inner = archive(&[("a", " ".repeat(10 << 20).as_bytes())]);
    let document = "<document><body><p><t>One</t></p></body></document>";
    let content = archive(&[("word/document.xml", document.as_bytes()), ("word/embeddings/a.zip", &inner)]);
    assert_eq!(read_as(DocumentKind::Docx, content).as_deref(), Ok("One"));
}

#[test]
fn a_size_that_lies_makes_a_file_damaged() {
    let content = docx("<w:p><w:t>One</w:t></w:p>");
    let directory = content.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    for (offset, name) in [(24, "size"), (16, "checksum")] {
        let mut content = content.clone();
        content[directory + offset] ^= 0x15;
        let problem = read_as(DocumentKind::Docx, content).unwrap_err();
        assert!(matches!(problem, Problem::Broken(_)), "{name}: {problem:?}");
    }
}

#[test]
fn an_encrypted_entry_is_encrypted() {
    let mut content = docx("<w:p><w:t>One</w:t></w:p>");
    let directory = content.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    content[directory + 8] |= 1;
    assert_eq!(read_as(DocumentKind::Docx, content), Err(Problem::Encrypted));
}

#[test]
fn nesting_needs_no_stack() {
    let levels = 100_000;
    let html = format!("{}One{}", "<div><ul><li><table><tr><td>".repeat(levels), "</table>".repeat(levels));
    assert!(read_as(DocumentKind::Html, html).unwrap().contains("One"));
    let xml = format!(
        "{}<w:p><w:t>One</w:t></w:p>{}",
        "<w:tbl><w:tr><w:tc>".repeat(levels),
        "</w:tc></w:tr></w:tbl>".repeat(levels)
    );
    assert!(read_as(DocumentKind::Docx, docx(&xml)).unwrap().contains("One"));
    assert!(read_as(DocumentKind::Pptx, pptx(&"<grpSp>".repeat(levels))).is_err());
    let json = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(read_as(DocumentKind::Text, json.clone()), Ok(json));
}

#[test]
fn entities_do_not_grow() {
    let lol =
        (1..10).map(|n| format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10))).collect::<String>();
    let document =
        format!("<!DOCTYPE a [<!ENTITY lol0 \"lol\">{lol}]><document><p><t>One &lol9; &amp; two</t></p></document>");
    let content = archive(&[("word/document.xml", document.as_bytes())]);
    assert_eq!(read_as(DocumentKind::Docx, content).as_deref(), Ok("One  & two"));
}

#[test]
fn an_entity_of_a_file_is_not_read() {
    let document = "<!DOCTYPE a [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><document><p><t>One &a;</t></p></document>";
    let content = archive(&[("word/document.xml", document.as_bytes())]);
    assert_eq!(read_as(DocumentKind::Docx, content).as_deref(), Ok("One"));
}

#[test]
fn the_size_that_a_sheet_declares_costs_nothing() {
    let rows = "<worksheet><dimension ref=\"A1:XFD1048576\"/><cols><col min=\"1\" max=\"16384\"/></cols><sheetData>\
        <row r=\"1\"><c r=\"A1\" t=\"str\"><v>One</v></c></row>\
        <row r=\"1048576\"><c r=\"XFD1048576\" t=\"str\"><v>Two</v></c></row>\
        <row r=\"9999999999\"><c r=\"ZZZZZZZZZ9\" t=\"str\"><v>Three</v></c></row></sheetData></worksheet>";
    assert_eq!(read_as(DocumentKind::Xlsx, xlsx(rows, "<sst/>")).as_deref(), Ok("# S\n\nOne\nTwo"));
}

#[test]
fn a_large_string_that_many_cells_share_is_too_much_text() {
    let strings = format!("<sst><si><t>{}</t></si></sst>", "a".repeat(1_000_000));
    let cells = "<row><c t=\"s\"><v>0</v></c></row>".repeat(1_000);
    check_too_large(DocumentKind::Xlsx, xlsx(&format!("<sheetData>{cells}</sheetData>"), &strings));
}

#[test]
fn strings_that_are_not_there_are_empty() {
    let cells = "<row><c t=\"s\"><v>7</v></c><c t=\"s\"><v>-1</v></c><c><v>1</v></c></row>";
    let read = read_as(DocumentKind::Xlsx, xlsx(&format!("<sheetData>{cells}</sheetData>"), "<sst/>"));
    assert_eq!(read.as_deref(), Ok("# S\n\n1"));
}

#[test]
fn a_long_word_is_read_and_cut_within_seconds() {
    let bytes = 10_000_000;
    let begin = Instant::now();
    let text = extract("a".repeat(bytes).into_bytes(), DocumentKind::Text, &Limits::default()).unwrap();
    let tokens = |text: &str| text.len().div_ceil(4);
    let chunks = Chunks::new(&text, ChunkingStrategy::default(), &tokens).take(2_000).count();
    assert_eq!(chunks, 2_000);
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn a_text_above_its_limit_is_refused() {
    let limits = Limits { text_bytes: 1 << 20, ..Limits::default() };
    let files = [
        (DocumentKind::Text, "word ".repeat(300_000)),
        (DocumentKind::Html, format!("<p>{}", "word ".repeat(300_000))),
        (DocumentKind::Csv, format!("{},b\n{}", "a".repeat(70), "1,2\n".repeat(20_000))),
    ];
    for (kind, content) in files {
        let problem = extract(content.into_bytes(), kind, &limits).unwrap_err();
        assert_eq!(problem, Problem::TooLarge { what: "the bytes of text", limit: 1 << 20 });
    }
}

#[test]
fn the_caller_has_an_answer_at_the_deadline() {
    let content = docx(&"<w:p><w:t>One</w:t></w:p>".repeat(200_000));
    let begin = Instant::now();
    let read = extract(content, DocumentKind::Docx, &Limits::within(Duration::from_millis(20)));
    assert_eq!(read, Err(Problem::OutOfTime));
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    let read = extract(b"One".to_vec(), DocumentKind::Text, &Limits::within(Duration::ZERO));
    assert_eq!(read, Err(Problem::OutOfTime));
}

#[test]
fn files_that_were_cut_off_end() {
    let files = [
        ("a.docx", &include_bytes!("files/word.docx")[..]),
        ("a.pptx", include_bytes!("files/powerpoint.pptx")),
        ("a.xlsx", include_bytes!("files/excel.xlsx")),
        ("a.pdf", include_bytes!("files/embedded.pdf")),
        ("a.html", b"<html><table><tr><td>One <b>two</b><script>three</script>&amp;<!-- --></table>"),
        ("a.csv", b"a,b\n1,\"2\n3\"\n"),
    ];
    for (name, content) in files {
        for part in 0..40 {
            let cut = &content[..content.len() * part / 40];
            if let Ok(kind) = DocumentKind::of(name, cut) {
                let _ = read_as(kind, cut);
            }
        }
    }
}

#[test]
fn a_document_whose_parts_are_missing_is_damaged() {
    let content = archive(&[("word/other.xml", b"<a/>")]);
    assert!(matches!(read_as(DocumentKind::Docx, content), Err(Problem::Broken(_))));
    assert!(matches!(read_as(DocumentKind::Xlsx, b"PK\x03\x04".to_vec()), Err(Problem::Broken(_))));
    assert!(matches!(read_as(DocumentKind::Pptx, pptx("<p:sp></p:a>")), Err(Problem::Broken(_))));
    assert!(matches!(read_as(DocumentKind::Pdf, b"no pdf".to_vec()), Err(Problem::Broken(_))));
}

const KINDS: [DocumentKind; 9] = [
    DocumentKind::Text,
    DocumentKind::Markdown,
    DocumentKind::Csv,
    DocumentKind::Tsv,
    DocumentKind::Html,
    DocumentKind::Docx,
    DocumentKind::Pptx,
    DocumentKind::Xlsx,
    DocumentKind::Pdf,
];

/// A document with changed bytes.
fn damaged() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let files: [(usize, &[u8]); 4] = [
        (5, include_bytes!("files/word.docx")),
        (6, include_bytes!("files/powerpoint.pptx")),
        (7, include_bytes!("files/excel.xlsx")),
        (8, include_bytes!("files/packed.pdf")),
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20);
    (prop::sample::select(files.to_vec()), changes).prop_map(|((kind, content), changes)| {
        let mut content = content.to_vec();
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        (kind, content)
    })
}

/// An answer, and not that of a parser that panicked.
fn check_ends(kind: DocumentKind, content: Vec<u8>) {
    let read = read_as(kind, content);
    assert!(read != Err(Problem::OutOfTime), "{kind:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_bytes_end(content in proptest::collection::vec(any::<u8>(), 0..3_000), name in "[a-z]{1,4}") {
        let _ = DocumentKind::of(&format!("a.{name}"), &content);
        for kind in KINDS {
            check_ends(kind, content.clone());
        }
    }

    #[test]
    fn random_texts_end(content in "([<>/=\"'&;#!,\\[\\]{}()a-z0-9 \n-]|<td>|<p>|<li>|obj|stream|PK|<<|>>){0,400}") {
        for kind in KINDS {
            check_ends(kind, content.clone().into_bytes());
        }
    }

    #[test]
    fn documents_with_changed_bytes_end((kind, content) in damaged()) {
        check_ends(KINDS[kind], content);
    }
}
