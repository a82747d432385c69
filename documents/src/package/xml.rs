//! The nodes of a part, one after the other.
//!
//! No tree is built. Names lose their prefixes: a document may choose those freely, and no part that is read has two names that differ
//! in nothing else. Entities of the document's own are dropped, so that none can grow.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::part::PartReader;
use crate::Problem;
use crate::watch::Watch;

const BROKEN: &str = "a part of it is not valid XML";

/// A node of a part. An element without content is opened and closed.
pub(crate) enum Node<'n> {
    Open(Tag<'n>),
    Close(&'n [u8]),
    Text(Cow<'n, str>),
    /// A comment, an instruction, or a node that repeats another.
    Other,
}

/// The start of an element.
pub(crate) struct Tag<'n>(BytesStart<'n>);

/// Reads the nodes of a part.
pub(crate) struct Xml<'p> {
    reader: Reader<PartReader<'p>>,
    buffer: Vec<u8>,
    name: Vec<u8>,
    /// Open elements that repeat what stands before them.
    fallbacks: usize,
    watch: &'p Watch,
}

impl<'p> Xml<'p> {
    pub(super) fn new(reader: PartReader<'p>, watch: &'p Watch) -> Self {
        let mut reader = Reader::from_reader(reader);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), name: Vec::new(), fallbacks: 0, watch }
    }

    /// The next node; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Node<'_>>, Problem> {
        self.watch.step()?;
        self.buffer.clear();
        let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| problem(&error))?;
        // Office repeats what old readers do not know in a form that they do: `AlternateContent` has a `Fallback`.
        match &event {
            Event::Eof => return Ok(None),
            Event::Start(tag) if tag.local_name().as_ref() == b"Fallback" => self.fallbacks += 1,
            Event::End(tag) if tag.local_name().as_ref() == b"Fallback" => {
                self.fallbacks = self.fallbacks.saturating_sub(1);
            }
            _ => {}
        }
        if self.fallbacks > 0 { Ok(Some(Node::Other)) } else { node(event, &mut self.name).map(Some) }
    }
}

impl Tag<'_> {
    /// The name without its prefix.
    pub(crate) fn name(&self) -> &[u8] {
        self.0.local_name().into_inner()
    }

    /// The value of an attribute, by its name without its prefix.
    pub(crate) fn attribute(&self, name: &[u8]) -> Option<String> {
        let mut attributes = unchecked(&self.0);
        let found = attributes.find(|attribute| attribute.key.local_name().as_ref() == name)?;
        let raw = String::from_utf8_lossy(&found.value);
        Some(quick_xml::escape::unescape(&raw).map_or_else(|_| raw.to_string(), Cow::into_owned))
    }

    /// The value of an attribute that has a prefix, for elements that use its name without one for something else.
    pub(crate) fn attribute_with_prefix(&self, name: &[u8]) -> Option<String> {
        let mut attributes = unchecked(&self.0);
        let is_it = |key: quick_xml::name::QName<'_>| key.prefix().is_some() && key.local_name().as_ref() == name;
        let found = attributes.find(|attribute| is_it(attribute.key))?;
        Some(String::from_utf8_lossy(&found.value).into_owned())
    }
}

/// The attributes. A check for repeated names would compare each with all before it.
fn unchecked<'t>(tag: &'t BytesStart<'_>) -> impl Iterator<Item = Attribute<'t>> {
    let mut attributes = tag.attributes();
    attributes.with_checks(false);
    attributes.filter_map(Result::ok)
}

fn node<'n>(event: Event<'n>, name: &'n mut Vec<u8>) -> Result<Node<'n>, Problem> {
    let broken = |_| Problem::Broken(BROKEN);
    Ok(match event {
        Event::Start(tag) => Node::Open(Tag(tag)),
        Event::End(tag) => {
            tag.local_name().as_ref().clone_into(name);
            Node::Close(name)
        }
        Event::Text(text) => Node::Text(text.decode().map_err(broken)?),
        Event::CData(text) => Node::Text(text.decode().map_err(broken)?),
        Event::GeneralRef(entity) => Node::Text(Cow::Owned(character(&entity))),
        _ => Node::Other,
    })
}

/// The character of one of XML's own entities, or of a number; nothing for entities that a document declares.
fn character(entity: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return character.to_string();
    }
    let name = entity.decode().unwrap_or_default();
    quick_xml::escape::resolve_predefined_entity(&name).unwrap_or_default().to_owned()
}

fn problem(error: &quick_xml::Error) -> Problem {
    match error {
        quick_xml::Error::Io(error) => Problem::from_io(error, "a part of it cannot be unpacked"),
        _ => Problem::Broken(BROKEN),
    }
}
