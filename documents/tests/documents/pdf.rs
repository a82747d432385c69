//! Pdfs, whole and hostile ones.

use std::time::Duration;

use crate::build::{Pdf, zeros, zlib};
use documents::{DocumentKind, Limits, Problem, extract};

/// The limit of files that unpack to too much.
const UNPACKED_BYTES: usize = 4 << 20;

fn read(content: Vec<u8>) -> Result<String, Problem> {
    let limits = Limits::within(Duration::from_secs(20));
    extract(content, DocumentKind::Pdf, &limits).map(documents::Text::into_string)
}

#[track_caller]
fn check(content: Vec<u8>, expected: &str) {
    assert_eq!(read(content).as_deref(), Ok(expected));
}

/// Checks a file that is small enough for the default limits, so that tests without optimisation are quick, and not for these.
#[track_caller]
fn check_too_large(content: Vec<u8>) {
    let limits = Limits { unpacked_bytes: UNPACKED_BYTES as u64, ..Limits::default() };
    let problem = extract(content, DocumentKind::Pdf, &limits).unwrap_err();
    assert!(matches!(problem, Problem::TooLarge { .. }), "{problem:?}");
}

/// Checks that this is what is read within the same limits.
#[track_caller]
fn check_harmless(content: Vec<u8>, expected: Result<&str, Problem>) {
    let limits = Limits { unpacked_bytes: UNPACKED_BYTES as u64, ..Limits::default() };
    let read = extract(content, DocumentKind::Pdf, &limits).map(documents::Text::into_string);
    assert_eq!(read.as_deref(), expected.as_ref().map(|text| *text));
}

fn page(content: &str) -> Vec<u8> {
    Pdf::of_page().stream("", content.as_bytes()).build()
}

#[test]
fn distances_become_spaces_lines_and_paragraphs() {
    check(
        page(
            "BT /F 10 Tf 50 700 Td (One) Tj 30 0 Td (two) Tj -30 -12 Td (three) Tj 0 -12 Td (four) Tj \
             0 -30 Td [(fi) -20 (ve) -500 (six)] TJ /F 20 Tf 0 -40 Td (Seven) Tj ET",
        ),
        "One two\nthree\nfour\n\nfive six\n\nSeven",
    );
}

#[test]
fn full_lines_are_one_line_and_divided_words_are_one_word() {
    check(
        page(
            "BT /F 10 Tf 12 TL 50 700 Td (This line is full of words and it is trans-) Tj T* (lated to the next, which is full as well.) Tj \
             T* (This line is full of words and it is the last) Tj T* (line.) Tj ET",
        ),
        "This line is full of words and it is translated to the next, which is full as well.\n\
         This line is full of words and it is the last line.",
    );
}

#[test]
fn columns_are_read_one_after_the_other() {
    check(page("BT /F 10 Tf 50 700 Td (a) Tj 0 -12 Td (b) Tj 200 12 Td (c) Tj 0 -12 Td (d) Tj ET"), "a\nb\n\nc\nd");
}

#[test]
fn words_inside_of_forms_are_read() {
    let content = b"BT /F 10 Tf (In the form) Tj ET";
    let file = Pdf::of_page()
        .stream("", b"/X Do BT /F 10 Tf 0 -50 Td (and outside) Tj ET")
        .stream("/Subtype /Form /Matrix [1 0 0 1 0 20]", content);
    check(file.build(), "In the form\n\nand outside");
}

#[test]
fn a_page_of_several_streams_is_read() {
    let file = Pdf::new()
        .object("<< /Type /Pages /Kids [3 0 R] >>")
        .object("<< /Contents [4 0 R 5 0 R] /Resources << /Font << /F << /Subtype /Type1 /BaseFont /Times-Roman >> >> >> >>")
        .stream("", b"BT /F 10 Tf")
        .stream("/Filter [/AHx]", b"284f6e652920546a204554>");
    check(file.build(), "One");
}

#[test]
fn a_broken_table_of_objects_is_repaired() {
    let mut content = page("BT /F 10 Tf (One) Tj ET");
    let table = content.windows(4).rposition(|bytes| bytes == b"xref").unwrap();
    content[table - 20..].fill(b'9');
    check(content, "One");
}

#[test]
fn a_length_that_is_a_reference_is_not_needed() {
    let file = Pdf::of_page().object("<< /Length 5 0 R >>\nstream\nBT /F 10 Tf (One) Tj ET\nendstream").object("23");
    check(file.build(), "One");
}

#[test]
fn a_picture_is_no_text() {
    let picture = zeros(2 * UNPACKED_BYTES);
    let file = Pdf::of_page()
        .stream("", b"/X Do")
        .stream("/Subtype /Image /Width 1000 /Height 1000 /Filter /FlateDecode", &picture);
    assert_eq!(read(file.build()), Err(Problem::NoText));
}

#[test]
fn a_picture_that_unpacks_to_too_much_is_not_unpacked() {
    let picture = zeros(2 * UNPACKED_BYTES);
    let file = Pdf::of_page()
        .stream("", b"BT /F 10 Tf (One) Tj ET /X Do")
        .stream("/Subtype /Image /Filter /FlateDecode", &picture);
    check_harmless(file.build(), Ok("One"));
}

#[test]
fn ten_thousand_pages_are_too_many() {
    let kids = (3..10_003).map(|number| format!("{number} 0 R ")).collect::<String>();
    let file = Pdf::new().object(format!("<< /Type /Pages /Kids [{kids}] >>"));
    let file = (0..10_000).fold(file, |file, _| file.object("<< /Type /Page >>"));
    assert_eq!(read(file.build()), Err(Problem::TooLarge { what: "the pages", limit: 5_000 }));
}

#[test]
fn a_page_tree_that_contains_itself_ends() {
    let file = Pdf::new()
        .object("<< /Type /Pages /Kids [3 0 R 2 0 R] >>")
        .object("<< /Type /Pages /Kids [2 0 R 3 0 R 4 0 R] >>")
        .object("<< /Type /Page /Contents 5 0 R /Resources << /Font << /F << /Subtype /Type1 /BaseFont /Courier >> >> >> >>")
        .stream("", b"BT /F 10 Tf (One) Tj ET");
    check(file.build(), "One");
}

#[test]
fn a_form_that_draws_itself_ends() {
    let form = b"/X Do /X Do BT /F 10 Tf (a) Tj ET";
    let file = Pdf::of_page().stream("", b"/X Do").stream("/Subtype /Form", form);
    assert!(read(file.build()).unwrap().starts_with('a'));
}

#[test]
fn nesting_needs_no_stack() {
    // Each dictionary inside of another is looked at alone, up to a depth of 512: without optimisation that takes seconds.
    for (open, levels) in [("[", 100_000), ("(", 100_000), ("<<", 1_000), ("<</A ", 1_000), ("<</A[", 1_000)] {
        let deep = open.repeat(levels);
        let file = Pdf::of_page().stream("", format!("{deep} BT /F 10 Tf (a) Tj ET").as_bytes()).object(deep);
        // Whether the words are found does not matter.
        let _ = read(file.build());
    }
    let states = Pdf::of_page().stream("", "q ".repeat(100_000).as_bytes());
    assert_eq!(read(states.build()), Err(Problem::NoText));
}

#[test]
fn a_content_that_unpacks_to_too_much_is_refused() {
    let bomb = zeros(2 * UNPACKED_BYTES);
    check_too_large(Pdf::of_page().stream("/Filter /FlateDecode", &bomb).build());
}

#[test]
fn a_bomb_in_a_bomb_is_not_unpacked() {
    let bomb = zlib(&zeros(3 * UNPACKED_BYTES));
    let file = Pdf::of_page().stream("/Filter [/FlateDecode /FlateDecode]", &bomb);
    check_harmless(file.build(), Err(Problem::NoText));
}

#[test]
fn a_bomb_behind_printable_bytes_is_found() {
    let hex: String = zeros(2 * UNPACKED_BYTES).iter().map(|byte| format!("{byte:02x}")).collect();
    check_too_large(Pdf::of_page().stream("/Filter [/ASCIIHexDecode /FlateDecode]", hex.as_bytes()).build());
}

#[test]
fn a_bomb_of_objects_is_refused() {
    let bomb = zeros(2 * UNPACKED_BYTES);
    let file = Pdf::new().stream("/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode", &bomb);
    check_too_large(file.build_packed(&[(3, 2, 0)]));
}

#[test]
fn many_small_bombs_are_refused_for_their_sum() {
    let bomb = zeros(UNPACKED_BYTES / 5);
    let file = (0..10).fold(Pdf::of_page(), |file, _| file.stream("/Filter /FlateDecode", &bomb));
    check_too_large(file.build());
}

#[test]
fn a_picture_that_is_used_as_objects_is_harmless() {
    let bomb = zeros(2 * UNPACKED_BYTES);
    let file = Pdf::of_page()
        .stream("", b"BT /F 10 Tf (One) Tj ET")
        .stream("/Subtype /Image /N 1 /First 4 /Filter /FlateDecode", &bomb);
    check_harmless(file.build_packed(&[(7, 5, 0)]), Ok("One"));
}

#[test]
fn filters_that_are_references_are_refused() {
    let file = Pdf::of_page().stream("/Filter 5 0 R", &zeros(1_000)).object("/FlateDecode");
    assert!(matches!(read(file.build()), Err(Problem::Broken(_))));
}

#[test]
fn very_many_pages_in_one_array_are_refused() {
    let kids = "<<>>".repeat(100_000);
    let objects = zlib(format!("2 0 << /Type /Pages /Kids [{kids}] >>").as_bytes());
    let file = Pdf::new().object("null").stream("/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode", &objects);
    check_too_large(file.build_packed(&[(2, 3, 0)]));
}

#[test]
fn references_that_unpack_to_too_much_are_refused() {
    let entries = zeros(3 * UNPACKED_BYTES);
    let dict = "/Type /XRef /W [0 1 0] /Size 100000000 /Root 1 0 R /Filter /FlateDecode";
    let file = Pdf::of_page().stream("", b"").stream(dict, &entries);
    check_too_large(file.build());
}

#[test]
fn a_font_with_a_billion_widths_is_not_loaded() {
    for widths in ["/W [0 4294967295 500]", "/W2 [0 4294967295 1 2 3]"] {
        let font = format!(
            "<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /DescendantFonts [<< /Subtype /CIDFontType2 /BaseFont /A {widths} >>] >>"
        );
        let file = Pdf::new()
            .object("<< /Type /Pages /Kids [3 0 R] >>")
            .object(format!("<< /Contents 4 0 R /Resources << /Font << /F {font} >> >> >>"))
            .stream("", b"BT /F 10 Tf (One) Tj ET");
        assert_eq!(read(file.build()), Err(Problem::NoText));
    }
}

#[test]
fn a_font_whose_first_character_is_a_billion_is_not_loaded() {
    let font = "<< /Subtype /TrueType /BaseFont /A /FirstChar 4000000000 /LastChar 4000000001 /Widths [1 2] >>";
    let file = Pdf::new()
        .object("<< /Type /Pages /Kids [3 0 R] >>")
        .object(format!("<< /Contents 4 0 R /Resources << /Font << /F {font} >> >> >>"))
        .stream("", b"BT /F 10 Tf (One) Tj ET");
    assert_eq!(read(file.build()), Err(Problem::NoText));
}

#[test]
fn a_predictor_with_a_billion_columns_is_not_used() {
    let data = zlib(b"BT /F 10 Tf (One) Tj ET");
    let parameters = "/DecodeParms << /Predictor 12 /Colors 3 /BitsPerComponent 8 /Columns 4000000000000 >>";
    let file = Pdf::of_page().stream(&format!("/Filter /FlateDecode {parameters}"), &data);
    assert_eq!(read(file.build()), Err(Problem::NoText));
}

#[test]
fn a_chain_of_streams_whose_lengths_are_in_the_next_needs_no_stack() {
    // The length of each stream is an object inside of the next stream. Without care, the parser goes one level down for each.
    let links = 20_000;
    let length_of = |link: u32| 2 + links + link;
    let pages = length_of(links);
    let mut file = Pdf::with_pages(pages);
    let mut packed = vec![(pages, 2, 0)];
    for link in 0..links {
        let length = length_of(link);
        file = file.object(format!("<< /N 1 /First 6 /Length {length} 0 R >>\nstream\n{length} 0 9\nendstream"));
        packed.push((length, 2 + link + 1, 0));
    }
    assert!(matches!(read(file.build_packed(&packed)), Err(Problem::Broken(_))));
}

#[test]
fn an_lzw_stream_is_measured() {
    // A clear code, then "-----A---B" as in the standard's example.
    let data = [0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01];
    let file = Pdf::of_page().stream("/Filter /LZWDecode", &data);
    assert_eq!(read(file.build()), Err(Problem::NoText));
}

#[test]
fn a_file_that_was_cut_off_ends() {
    let content = include_bytes!("files/packed.pdf");
    for end in (0..content.len()).step_by(7) {
        let _ = read(content[..end].to_vec());
    }
}

#[test]
fn a_file_with_changed_bytes_ends() {
    for content in [&include_bytes!("files/report.pdf")[..], include_bytes!("files/owner.pdf")] {
        for at in (0..content.len()).step_by(5) {
            let mut content = content.to_vec();
            content[at] = content[at].wrapping_mul(31).wrapping_add(7);
            let _ = read(content);
        }
    }
}
