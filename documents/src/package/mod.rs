//! The package of a document of Office: a zip archive of parts, which are XML.

mod part;
mod relations;
mod xml;

use std::collections::BTreeMap;

use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

use crate::watch::Watch;
use crate::{DocumentKind, Problem};
use part::PartReader;
pub(crate) use relations::Relations;
pub(crate) use xml::{Node, Tag, Xml};

/// The most entries of an archive that are looked at. Each costs memory, and none of the documents that we know has a tenth of this.
const MAX_ENTRIES: usize = 65_536;

const BROKEN: Problem = Problem::Broken("its archive cannot be read");

/// The parts of a document, by their names in lower case: names differ in their case between a part and what refers to it.
pub(crate) struct Package<'c> {
    archive: ZipSliceArchive<&'c [u8]>,
    entries: BTreeMap<String, Entry>,
    watch: &'c Watch,
}

struct Entry {
    at: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    is_encrypted: bool,
}

impl<'c> Package<'c> {
    pub(crate) fn open(content: &'c [u8], watch: &'c Watch) -> Result<Self, Problem> {
        let archive = ZipArchive::from_slice(content).map_err(|_| BROKEN)?;
        let mut entries = BTreeMap::new();
        let mut found = archive.entries();
        while let Some(entry) = found.next_entry().map_err(|_| BROKEN)? {
            watch.step()?;
            if entries.len() == MAX_ENTRIES {
                return Err(Problem::TooLarge { what: "the entries of its archive", limit: MAX_ENTRIES as u64 });
            }
            let name = String::from_utf8_lossy(entry.file_path().as_ref()).to_ascii_lowercase().replace('\\', "/");
            let is_encrypted = entry.flags().is_encrypted();
            let entry = Entry { at: entry.wayfinder(), method: entry.compression_method(), is_encrypted };
            entries.insert(name.trim_start_matches('/').to_owned(), entry);
        }
        Ok(Self { archive, entries, watch })
    }

    /// The nodes of a part; `None` if there is no such part.
    pub(crate) fn part(&self, name: &str) -> Result<Option<Xml<'_>>, Problem> {
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        let Some(entry) = self.entries.get(&name) else { return Ok(None) };
        if entry.is_encrypted {
            return Err(Problem::Encrypted);
        }
        let data = self.archive.get_entry(entry.at).map_err(|_| BROKEN)?;
        let reader = PartReader::new(&data, entry.method, self.watch)?;
        Ok(Some(Xml::new(reader, self.watch)))
    }

    /// The nodes of a part without which the document has nothing to read.
    pub(crate) fn main_part(&self, name: &str) -> Result<Xml<'_>, Problem> {
        self.part(name)?.ok_or(Problem::Broken("its main part is missing"))
    }

    /// What a part refers to; nothing if it refers to nothing.
    pub(crate) fn relations(&self, part: &str) -> Result<Relations, Problem> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let separator = if folder.is_empty() { "" } else { "/" };
        match self.part(&format!("{folder}{separator}_rels/{name}.rels"))? {
            Some(xml) => Relations::read(xml, folder),
            None => Ok(Relations::default()),
        }
    }

    /// The name of the part where the document begins.
    pub(crate) fn start(&self, default: &str) -> Result<String, Problem> {
        let relations = self.relations("")?;
        Ok(relations.of_type("officedocument").next().unwrap_or(default).to_owned())
    }
}

/// The kind of document in an archive; `None` for an archive that is no document. An archive that cannot be read is the document that
/// its beginning looks like.
pub(crate) fn kind(content: &[u8]) -> Option<DocumentKind> {
    let of_name = |name: &[u8]| {
        let is_in = |folder: &[u8]| name.get(..folder.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(folder));
        let kinds = [(&b"word/"[..], DocumentKind::Docx), (b"ppt/", DocumentKind::Pptx), (b"xl/", DocumentKind::Xlsx)];
        kinds.into_iter().find(|(folder, _)| is_in(folder)).map(|(_, kind)| kind)
    };
    let Ok(archive) = ZipArchive::from_slice(content) else {
        // The directory is at the end, so a file that was cut off has none. Names stand in front of the entries as well.
        let head = &content[..content.len().min(64 * 1024)];
        return memchr::memmem::find_iter(head, b"PK\x03\x04").find_map(|at| of_name(head.get(at + 30..)?));
    };
    let mut entries = archive.entries();
    let mut seen = 0;
    while let Ok(Some(entry)) = entries.next_entry()
        && seen < MAX_ENTRIES
    {
        seen += 1;
        if let Some(kind) = of_name(entry.file_path().as_ref()) {
            return Some(kind);
        }
    }
    None
}
