//! Builds small documents, whole and hostile ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// An archive with these entries.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut content);
    for (name, data) in entries {
        let (mut entry, config) =
            archive.new_file(name).compression_method(CompressionMethod::DEFLATE).start().unwrap();
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
        writer.write_all(data).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    content
}

/// A document of Word with this body.
pub(crate) fn docx(body: &str) -> Vec<u8> {
    let document = format!("<w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>");
    archive(&[("word/document.xml", document.as_bytes())])
}

/// A workbook whose first sheet has these rows.
pub(crate) fn xlsx(rows: &str, strings: &str) -> Vec<u8> {
    let workbook = "<workbook xmlns:r=\"r\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"a\"/></sheets></workbook>";
    let relations = "<Relationships><Relationship Id=\"a\" Type=\"t/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
        <Relationship Id=\"b\" Type=\"t/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>";
    archive(&[
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", rows.as_bytes()),
        ("xl/sharedStrings.xml", strings.as_bytes()),
    ])
}

/// A presentation with one slide.
pub(crate) fn pptx(slide: &str) -> Vec<u8> {
    let presentation = "<presentation xmlns:r=\"r\"><sldIdLst><sldId id=\"256\" r:id=\"a\"/></sldIdLst></presentation>";
    let relations =
        "<Relationships><Relationship Id=\"a\" Type=\"t/slide\" Target=\"slides/slide1.xml\"/></Relationships>";
    archive(&[
        ("ppt/presentation.xml", presentation.as_bytes()),
        ("ppt/_rels/presentation.xml.rels", relations.as_bytes()),
        ("ppt/slides/slide1.xml", slide.as_bytes()),
    ])
}

pub(crate) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// So many zero bytes, packed: a thousandth of them.
pub(crate) fn zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1024 * 1024];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(block.len());
        encoder.write_all(&block[..part]).unwrap();
        left -= part;
    }
    encoder.finish().unwrap()
}

/// A pdf of numbered objects, the first of which is the catalog.
pub(crate) struct Pdf {
    objects: Vec<Vec<u8>>,
}

impl Pdf {
    /// A catalog whose pages are object 2, and nothing else.
    pub(crate) fn new() -> Self {
        Self::with_pages(2)
    }

    /// A catalog whose pages are the object with this number, and nothing else.
    pub(crate) fn with_pages(number: u32) -> Self {
        Self { objects: vec![format!("<< /Type /Catalog /Pages {number} 0 R >>").into_bytes()] }
    }

    /// A file with one page, whose content is object 4 and whose font `/F` is Helvetica.
    pub(crate) fn of_page() -> Self {
        Self::new()
            .object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
            .object("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> /XObject << /X 5 0 R >> >> >>")
    }

    pub(crate) fn object(mut self, object: impl AsRef<[u8]>) -> Self {
        self.objects.push(object.as_ref().to_vec());
        self
    }

    pub(crate) fn stream(self, entries: &str, data: &[u8]) -> Self {
        let mut object = format!("<< {entries} /Length {} >>\nstream\n", data.len()).into_bytes();
        object.extend_from_slice(data);
        object.extend_from_slice(b"\nendstream");
        self.object(object)
    }

    /// The file, and where its objects are.
    fn body(&self) -> (Vec<u8>, Vec<usize>) {
        let mut content = b"%PDF-1.5\n".to_vec();
        let mut places = Vec::new();
        for (index, object) in self.objects.iter().enumerate() {
            places.push(content.len());
            content.extend(format!("{} 0 obj\n", index + 1).into_bytes());
            content.extend_from_slice(object);
            content.extend_from_slice(b"\nendobj\n");
        }
        (content, places)
    }

    /// The file with a table of its objects.
    pub(crate) fn build(self) -> Vec<u8> {
        let (mut content, places) = self.body();
        let table = content.len();
        let count = places.len() + 1;
        content.extend(format!("xref\n0 {count}\n0000000000 65535 f \n").into_bytes());
        for place in places {
            content.extend(format!("{place:010} 00000 n \n").into_bytes());
        }
        content.extend(format!("trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF").into_bytes());
        content
    }

    /// The file with a stream of references, in which further objects are said to be in object streams: number, stream, index.
    pub(crate) fn build_packed(self, packed: &[(u32, u32, u32)]) -> Vec<u8> {
        let (mut content, places) = self.body();
        let last = packed.iter().map(|(number, ..)| *number).max().unwrap_or(0).max(places.len() as u32);
        let mut entries = vec![[0_u8; 9]; last as usize + 1];
        let mut set = |number: u32, kind: u8, a: u32, b: u32| {
            let entry = &mut entries[number as usize];
            entry[0] = kind;
            entry[1..5].copy_from_slice(&a.to_be_bytes());
            entry[5..9].copy_from_slice(&b.to_be_bytes());
        };
        for (index, place) in places.iter().enumerate() {
            set(index as u32 + 1, 1, *place as u32, 0);
        }
        for (number, stream, index) in packed {
            set(*number, 2, *stream, *index);
        }
        let data = entries.concat();
        let table = content.len();
        let size = last + 1;
        let dict = format!("/Type /XRef /W [1 4 4] /Size {size} /Root 1 0 R /Length {}", data.len());
        content.extend(format!("{size} 0 obj\n<< {dict} >>\nstream\n").into_bytes());
        content.extend(data);
        content.extend(format!("\nendstream\nendobj\nstartxref\n{table}\n%%EOF").into_bytes());
        content
    }
}
