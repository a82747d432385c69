//! Documents that real programs wrote. `files/make.py` made them.

use documents::{DocumentKind, Limits, Problem, extract};

#[track_caller]
fn read(name: &str, content: &[u8]) -> String {
    let kind = DocumentKind::of(name, content).unwrap();
    extract(content.to_vec(), kind, &Limits::default()).unwrap().into_string()
}

#[test]
fn a_document_of_word_has_headings_lists_and_rows() {
    assert_eq!(
        read("word.docx", include_bytes!("files/word.docx")),
        "# Pumps & valves\n\nA pump moves water. It has two\n\n# Care\n\n- Oil it.\n- Clean it.\n\n## Prices\n\n\
         Part; Price\nPart: Pump; Price: 12\nPart: Valve; Price: 7\n\nGrüße aus Köln."
    );
}

#[test]
fn a_presentation_has_a_heading_for_each_slide() {
    assert_eq!(
        read("powerpoint.pptx", include_bytes!("files/powerpoint.pptx")),
        "# Slide 1: Pumps\n\nA talk\n\n# Slide 2: Prices\n\nPart; Price\nPart: Pump; Price: 12\n\nNotes:\n\nSay that prices rise."
    );
}

#[test]
fn a_workbook_has_a_heading_for_each_sheet_and_rows_repeat_the_header() {
    assert_eq!(
        read("excel.xlsx", include_bytes!("files/excel.xlsx")),
        "# Parts\n\nPart; Price; Since\nPart: Pump; Price: 12.5; Since: 2024-01-01\n\
         Part: Valve; Price: 7; Since: 2025-06-30 13:30:00\n\n# Notes & more\n\nOnly a word; TRUE"
    );
}

#[test]
fn the_kind_of_an_archive_is_found_without_a_name() {
    assert_eq!(DocumentKind::of("a", include_bytes!("files/word.docx")), Ok(DocumentKind::Docx));
    assert_eq!(DocumentKind::of("a.zip2", include_bytes!("files/excel.xlsx")), Ok(DocumentKind::Xlsx));
    assert_eq!(DocumentKind::of("a.txt", include_bytes!("files/powerpoint.pptx")), Ok(DocumentKind::Pptx));
}

#[test]
fn a_pdf_has_paragraphs() {
    let text = read("report.pdf", include_bytes!("files/report.pdf"));
    assert!(
        text.starts_with("Pumps\n\nA pump moves water. It has two parts, and it needs oil each month. A pump"),
        "{text}"
    );
    assert!(text.contains("\n\nPrices\n\n"), "{text}");
    assert!(text.ends_with("Grüße aus Köln für 5 €."), "{text}");
}

#[test]
fn a_pdf_with_packed_objects_has_the_same_text() {
    let packed = read("packed.pdf", include_bytes!("files/packed.pdf"));
    assert_eq!(packed, read("report.pdf", include_bytes!("files/report.pdf")));
}

#[test]
fn a_pdf_with_an_embedded_font_has_its_characters() {
    assert_eq!(
        read("embedded.pdf", include_bytes!("files/embedded.pdf")),
        "Grüße: a pump moves water.\nThe second line.\n\nThe second page."
    );
}

#[test]
fn a_pdf_with_a_password_is_encrypted() {
    let content = include_bytes!("files/encrypted.pdf").to_vec();
    assert_eq!(extract(content, DocumentKind::Pdf, &Limits::default()), Err(Problem::Encrypted));
}

#[test]
fn a_pdf_that_only_restricts_printing_is_read() {
    assert_eq!(read("owner.pdf", include_bytes!("files/owner.pdf")), "Not a secret, but not to be printed.");
}
