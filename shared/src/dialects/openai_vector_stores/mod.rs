//! The bodies of OpenAI's vector stores.

mod filter;
mod search;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::{missing, parse, shortened};
use super::openai_responses::metadata;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::patch::Patch;
use crate::model::vector_store::{Attributes, ChunkingStrategy, MAX_ATTACHED};

pub use search::SearchVectorStore;

/// A checked body of `POST /v1/vector_stores`.
#[derive(Debug, Clone)]
pub struct CreateVectorStore {
    pub name: String,
    pub description: Option<String>,
    pub metadata: Object,
    pub expires_after_days: Option<u64>,
    /// Without those that are named twice.
    pub file_ids: Vec<String>,
    pub chunking: ChunkingStrategy,
    /// The body.
    pub object: Object,
}

/// A checked body of `POST /v1/vector_stores/{id}`.
#[derive(Debug, Clone)]
pub struct UpdateVectorStore {
    /// `None`: as it is.
    pub name: Option<String>,
    pub metadata: Option<Object>,
    pub expires_after_days: Patch<u64>,
}

/// A file that a client attaches to a store.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachFile {
    pub file_id: String,
    pub attributes: Attributes,
    pub chunking: ChunkingStrategy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateShape {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    file_ids: Option<Vec<String>>,
    #[serde(default)]
    expires_after: Option<ExpiresAfter>,
    #[serde(default)]
    chunking_strategy: Option<StrategyShape>,
    #[serde(default, rename = "metadata")]
    _metadata: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateShape {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    expires_after: Patch<ExpiresAfter>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiresAfter {
    anchor: String,
    days: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyShape {
    r#type: String,
    #[serde(default, rename = "static")]
    fixed: Option<ChunkingStrategy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachShape {
    file_id: String,
    #[serde(default)]
    attributes: Option<Attributes>,
    #[serde(default)]
    chunking_strategy: Option<StrategyShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributesShape {
    /// `null` clears them.
    #[serde(default)]
    attributes: Patch<Attributes>,
}

/// The most characters of a name or a description.
const MAX_NAME: usize = 512;

impl CreateVectorStore {
    /// Reads and checks a body. An empty one makes an empty store.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a member is unknown or has a wrong value. The error names it.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let json = if json.is_empty() { b"{}" } else { json };
        let shape: CreateShape = parse(json)?;
        let object = Object::parse(json).unwrap_or_default();
        let mut file_ids = shape.file_ids.unwrap_or_default();
        if file_ids.len() > MAX_ATTACHED {
            let message = format!("`file_ids` has {} ids, expected at most {MAX_ATTACHED}.", file_ids.len());
            return Err(Invalid::field("file_ids", message));
        }
        let mut seen = HashSet::new();
        file_ids.retain(|id| seen.insert(id.clone()));
        Ok(Self {
            name: short("name", shape.name)?.unwrap_or_default(),
            description: short("description", shape.description)?,
            metadata: metadata(&object)?,
            expires_after_days: shape.expires_after.map(days).transpose()?,
            file_ids,
            chunking: strategy(shape.chunking_strategy)?,
            object,
        })
    }
}

impl UpdateVectorStore {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// As [`CreateVectorStore::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: UpdateShape = parse(json)?;
        let object = Object::parse(json).unwrap_or_default();
        Ok(Self {
            name: short("name", shape.name)?,
            metadata: shape.metadata.is_some().then(|| metadata(&object)).transpose()?,
            expires_after_days: shape.expires_after.try_map(days)?,
        })
    }
}

impl AttachFile {
    /// Reads and checks a body of `POST /v1/vector_stores/{id}/files`.
    ///
    /// # Errors
    /// As [`CreateVectorStore::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let AttachShape { file_id, attributes, chunking_strategy } = parse(json)?;
        let attributes = attributes.unwrap_or_default();
        attributes.check("attributes")?;
        Ok(Self { file_id, attributes, chunking: strategy(chunking_strategy)? })
    }
}

/// Reads and checks a body of `POST /v1/vector_stores/{id}/files/{file_id}`.
///
/// # Errors
/// As [`CreateVectorStore::parse`].
pub fn parse_attributes(json: &[u8]) -> Result<Attributes, Invalid> {
    let shape: AttributesShape = parse(json)?;
    let attributes = match shape.attributes {
        Patch::Set(attributes) => attributes,
        Patch::Clear => Attributes::default(),
        Patch::Keep => return Err(missing("attributes")),
    };
    attributes.check("attributes")?;
    Ok(attributes)
}

fn short(param: &str, text: Option<String>) -> Result<Option<String>, Invalid> {
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_NAME) {
        return Err(Invalid::field(param, format!("`{param}` has more than {MAX_NAME} characters.")));
    }
    Ok(text)
}

fn days(ExpiresAfter { anchor, days }: ExpiresAfter) -> Result<u64, Invalid> {
    if anchor != "last_active_at" {
        let message = format!("`expires_after.anchor` is `{}`, expected `last_active_at`.", shortened(&anchor));
        return Err(Invalid::field("expires_after.anchor", message));
    }
    if !(1..=365).contains(&days) {
        return Err(Invalid::field(
            "expires_after.days",
            format!("`expires_after.days` is {days}, expected 1 to 365."),
        ));
    }
    Ok(days)
}

fn strategy(shape: Option<StrategyShape>) -> Result<ChunkingStrategy, Invalid> {
    let wrong = |name: &str, message: String| Err(Invalid::field(format!("chunking_strategy.{name}"), message));
    match shape {
        None => Ok(ChunkingStrategy::default()),
        Some(StrategyShape { r#type, fixed: None }) if r#type == "auto" => Ok(ChunkingStrategy::default()),
        Some(StrategyShape { r#type, fixed: Some(fixed) }) if r#type == "static" => fixed.check("chunking_strategy"),
        Some(StrategyShape { r#type, .. }) if r#type == "static" => wrong(
            "static",
            "`chunking_strategy.static` is missing: the strategy `static` needs its numbers.".to_owned(),
        ),
        Some(StrategyShape { r#type, .. }) if r#type == "auto" => {
            wrong("static", "The strategy `auto` takes no numbers: its type would be `static`.".to_owned())
        }
        Some(StrategyShape { r#type, .. }) => {
            wrong("type", format!("`chunking_strategy.type` is `{}`, expected `auto` or `static`.", shortened(&r#type)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_store_is_read_whole_and_an_empty_body_makes_an_empty_one() {
        let store = CreateVectorStore::parse(
            br#"{"name":"n","description":"d","file_ids":["file-1","file-2","file-1"],"metadata":{"a":"b"},
                "expires_after":{"anchor":"last_active_at","days":7},
                "chunking_strategy":{"type":"static","static":{"max_chunk_size_tokens":200,"chunk_overlap_tokens":50}}}"#,
        )
        .unwrap();
        assert_eq!(
            (store.name.as_str(), store.description.as_deref(), store.expires_after_days),
            ("n", Some("d"), Some(7))
        );
        assert_eq!(store.file_ids, ["file-1", "file-2"]);
        assert_eq!(store.chunking, ChunkingStrategy { max_chunk_size_tokens: 200, chunk_overlap_tokens: 50 });
        for empty in [&b""[..], b"{}", br#"{"name":null,"chunking_strategy":{"type":"auto"}}"#] {
            let store = CreateVectorStore::parse(empty).unwrap();
            assert_eq!(
                (store.name.as_str(), store.file_ids.len(), store.chunking),
                ("", 0, ChunkingStrategy::default())
            );
        }
    }

    #[test]
    fn a_wrong_store_is_refused_with_its_member() {
        for (json, param) in [
            (r#"{"nam":"x"}"#, "nam"),
            (r#"{"expires_after":{"anchor":"created_at","days":1}}"#, "expires_after.anchor"),
            (r#"{"expires_after":{"anchor":"last_active_at","days":0}}"#, "expires_after.days"),
            (r#"{"file_ids":"file-1"}"#, "file_ids"),
            (r#"{"chunking_strategy":{"type":"semantic"}}"#, "chunking_strategy.type"),
            (r#"{"chunking_strategy":{"type":"static"}}"#, "chunking_strategy.static"),
            (
                r#"{"chunking_strategy":{"type":"static","static":{"max_chunk_size_tokens":10,"chunk_overlap_tokens":5}}}"#,
                "chunking_strategy.static.max_chunk_size_tokens",
            ),
            (r#"{"metadata":{"a":1}}"#, "metadata.a"),
        ] {
            assert_eq!(CreateVectorStore::parse(json.as_bytes()).unwrap_err().param.as_deref(), Some(param), "{json}");
        }
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let update = |json: &str| UpdateVectorStore::parse(json.as_bytes()).unwrap();
        let nothing = update("{}");
        assert_eq!((nothing.name, nothing.metadata.is_none(), nothing.expires_after_days), (None, true, Patch::Keep));
        assert_eq!(update(r#"{"expires_after":null}"#).expires_after_days, Patch::Clear);
        let days = update(r#"{"expires_after":{"anchor":"last_active_at","days":3},"metadata":{}}"#);
        assert_eq!((days.expires_after_days, days.metadata.is_some()), (Patch::Set(3), true));
    }

    #[test]
    fn attributes_have_limits() {
        let attach = |attributes: &str| {
            AttachFile::parse(format!(r#"{{"file_id":"file-1","attributes":{attributes}}}"#).as_bytes())
        };
        assert_eq!(attach(r#"{"a":"x","b":1.5,"c":true}"#).unwrap().attributes.0.len(), 3);
        assert!(attach("null").unwrap().attributes.0.is_empty());
        let many: BTreeMap<String, u32> = (0..17).map(|n| (n.to_string(), n)).collect();
        for (attributes, param) in [
            (serde_json::to_string(&many).unwrap(), "attributes"),
            (format!(r#"{{"{}":1}}"#, "n".repeat(65)), "attributes"),
            (format!(r#"{{"a":"{}"}}"#, "n".repeat(513)), "attributes.a"),
            (r#"{"a":[1]}"#.to_owned(), "attributes.a"),
        ] {
            assert_eq!(attach(&attributes).unwrap_err().param.as_deref(), Some(param), "{attributes}");
        }
    }

    #[test]
    fn new_attributes_must_be_there() {
        let read = |json: &str| parse_attributes(json.as_bytes());
        assert_eq!(read(r#"{"attributes":{"a":1}}"#).unwrap().0.len(), 1);
        assert!(read(r#"{"attributes":null}"#).unwrap().0.is_empty());
        assert_eq!(read("{}").unwrap_err().param.as_deref(), Some("attributes"));
    }
}
