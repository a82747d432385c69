//! The bodies of OpenAI's vector stores.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{missing, parse, shortened};
use super::openai_responses::metadata;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::patch::Patch;
use crate::model::vector_store::{AttributeValue, Attributes, ChunkingStrategy, Comparison, Filter, MAX_ATTACHED};

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

/// A checked body of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchVectorStore {
    /// One or more.
    pub queries: Vec<String>,
    pub max_results: usize,
    pub filter: Option<Filter>,
    /// Also by words. Else only by meaning.
    pub by_words: bool,
    pub score_threshold: f64,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchShape {
    query: Value,
    #[serde(default)]
    rewrite_query: Option<bool>,
    #[serde(default)]
    max_num_results: Option<usize>,
    #[serde(default)]
    filters: Option<Value>,
    #[serde(default)]
    ranking_options: Option<RankingShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankingShape {
    #[serde(default)]
    ranker: Option<String>,
    #[serde(default)]
    score_threshold: Option<f64>,
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

/// The most results of a search, and the number of those of one that does not say: OpenAI's.
const MAX_RESULTS: usize = 50;
const USUAL_RESULTS: usize = 10;
/// The most queries of a search. Each is embedded and searched.
const MAX_QUERIES: usize = 8;
/// The most characters of a query: OpenAI's limit.
const MAX_QUERY: usize = 4_096;

impl SearchVectorStore {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// As [`CreateVectorStore::parse`]; also if the query is to be rewritten: no model does that here.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: SearchShape = parse(json)?;
        if shape.rewrite_query == Some(true) {
            let message = "`rewrite_query` is not available: send the query as it is to be searched.";
            return Err(Invalid::field("rewrite_query", message));
        }
        let max_results = shape.max_num_results.unwrap_or(USUAL_RESULTS);
        if !(1..=MAX_RESULTS).contains(&max_results) {
            let message = format!("`max_num_results` is {max_results}, expected 1 to {MAX_RESULTS}.");
            return Err(Invalid::field("max_num_results", message));
        }
        let ranking = shape.ranking_options.unwrap_or(RankingShape { ranker: None, score_threshold: None });
        let by_words = match ranking.ranker.as_deref() {
            None | Some("auto" | "default-2024-11-15" | "default_2024_08_21") => true,
            Some("none") => false,
            Some(other) => {
                let message = format!(
                    "`ranking_options.ranker` is `{}`, expected `auto`, `default-2024-11-15` or `none`.",
                    shortened(other)
                );
                return Err(Invalid::field("ranking_options.ranker", message));
            }
        };
        let score_threshold = ranking.score_threshold.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&score_threshold) {
            let message = format!("`ranking_options.score_threshold` is {score_threshold}, expected 0 to 1.");
            return Err(Invalid::field("ranking_options.score_threshold", message));
        }
        let filter = shape.filters.filter(|filter| !filter.is_null());
        Ok(Self {
            queries: queries(shape.query)?,
            max_results,
            filter: filter.map(|filter| read_filter(&filter, "filters", 0)).transpose()?,
            by_words,
            score_threshold,
        })
    }
}

fn queries(query: Value) -> Result<Vec<String>, Invalid> {
    let wrong = |message: String| Invalid::field("query", message);
    let queries = match query {
        Value::String(query) => vec![query],
        Value::Array(queries) => {
            let queries: Option<Vec<String>> =
                queries.into_iter().map(|query| query.as_str().map(str::to_owned)).collect();
            queries.ok_or_else(|| wrong("`query` must be a string or an array of strings.".to_owned()))?
        }
        _ => return Err(wrong("`query` must be a string or an array of strings.".to_owned())),
    };
    if !(1..=MAX_QUERIES).contains(&queries.len()) {
        return Err(wrong(format!("`query` has {} queries, expected 1 to {MAX_QUERIES}.", queries.len())));
    }
    for query in &queries {
        let length = query.chars().count();
        if query.trim().is_empty() || length > MAX_QUERY {
            return Err(wrong(format!(
                "A query has {length} characters, expected 1 to {MAX_QUERY} that are not all blank."
            )));
        }
    }
    Ok(queries)
}

/// Filters within filters.
const MAX_DEPTH: usize = 8;
/// The most values of one list.
const MAX_VALUES: usize = 100;

fn read_filter(value: &Value, at: &str, depth: usize) -> Result<Filter, Invalid> {
    let wrong = |name: &str, message: String| {
        Invalid::field(if name.is_empty() { at.to_owned() } else { format!("{at}.{name}") }, message)
    };
    if depth >= MAX_DEPTH {
        return Err(wrong("", format!("`{at}` is more than {MAX_DEPTH} filters deep.")));
    }
    let members = value.as_object().ok_or_else(|| wrong("", format!("`{at}` must be an object.")))?;
    let kind = members.get("type").and_then(Value::as_str).unwrap_or("eq");
    let known: &[&str] = if matches!(kind, "and" | "or") { &["type", "filters"] } else { &["type", "key", "value"] };
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(super::unknown::unknown(at, unknown, known.iter().copied()));
    }
    if matches!(kind, "and" | "or") {
        let filters = members.get("filters").and_then(Value::as_array).filter(|filters| !filters.is_empty());
        let filters =
            filters.ok_or_else(|| wrong("filters", format!("`{at}.filters` must be an array of filters.")))?;
        let filters =
            filters.iter().enumerate().map(|(n, filter)| read_filter(filter, &format!("{at}.filters[{n}]"), depth + 1));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        return Ok(if kind == "and" { Filter::And(filters) } else { Filter::Or(filters) });
    }
    let key = members.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| wrong("key", format!("`{at}.key` must be the name of an attribute.")))?;
    let value = members.get("value").unwrap_or(&Value::Null);
    let one = || {
        scalar(value).ok_or_else(|| wrong("value", format!("`{at}.value` must be a string, a number or a boolean.")))
    };
    let many = || {
        let values = value.as_array().filter(|values| values.len() <= MAX_VALUES);
        let values = values.and_then(|values| values.iter().map(scalar).collect::<Option<Vec<_>>>());
        values.ok_or_else(|| {
            wrong("value", format!("`{at}.value` must be an array of at most {MAX_VALUES} strings or numbers."))
        })
    };
    let comparison = match kind {
        "eq" => Comparison::Equal(one()?),
        "ne" => Comparison::NotEqual(one()?),
        "gt" => Comparison::Greater(one()?),
        "gte" => Comparison::GreaterOrEqual(one()?),
        "lt" => Comparison::Less(one()?),
        "lte" => Comparison::LessOrEqual(one()?),
        "in" => Comparison::In(many()?),
        "nin" => Comparison::NotIn(many()?),
        other => {
            let message = format!(
                "`{at}.type` is `{}`, expected one of: eq, ne, gt, gte, lt, lte, in, nin, and, or.",
                shortened(other)
            );
            return Err(wrong("type", message));
        }
    };
    Ok(Filter::Compare { key: key.to_owned(), comparison })
}

fn scalar(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::Bool(value) => Some(AttributeValue::Bool(*value)),
        Value::Number(value) => Some(AttributeValue::Number(value.clone())),
        Value::String(value) => Some(AttributeValue::Text(value.clone())),
        _ => None,
    }
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

    fn search(members: &str) -> Result<SearchVectorStore, Invalid> {
        SearchVectorStore::parse(format!(r#"{{"query":"q"{members}}}"#).as_bytes())
    }

    #[test]
    fn a_search_is_read_with_its_filters() {
        let found = search(
            r#","filters":{"type":"and","filters":[{"type":"in","key":"a","value":["x",1]},{"key":"b","value":true}]}"#,
        );
        let equal = Filter::Compare { key: "b".into(), comparison: Comparison::Equal(AttributeValue::Bool(true)) };
        let values = vec![AttributeValue::Text("x".into()), AttributeValue::Number(1.into())];
        let is_in = Filter::Compare { key: "a".into(), comparison: Comparison::In(values) };
        assert_eq!(found.unwrap().filter, Some(Filter::And(vec![is_in, equal])));
        assert!(search(r#","ranking_options":{"ranker":"auto","score_threshold":0.2}"#).unwrap().by_words);
        assert!(!search(r#","ranking_options":{"ranker":"none"}"#).unwrap().by_words);
        let several =
            SearchVectorStore::parse(br#"{"query":["a","b"],"max_num_results":50,"rewrite_query":false}"#).unwrap();
        assert_eq!((several.queries.len(), several.max_results), (2, 50));
    }

    #[test]
    fn a_wrong_search_is_refused_with_its_member() {
        let deep = (0..20).fold(r#"{"type":"eq","key":"a","value":1}"#.to_owned(), |filter, _| {
            format!(r#"{{"type":"or","filters":[{filter}]}}"#)
        });
        let deep = format!(r#","filters":{deep}"#);
        let place = "filters".to_owned() + &".filters[0]".repeat(MAX_DEPTH);
        for (members, param) in [
            (r#","max_num_results":51"#, "max_num_results"),
            (r#","rewrite_query":true"#, "rewrite_query"),
            (r#","ranking_options":{"ranker":"best"}"#, "ranking_options.ranker"),
            (r#","ranking_options":{"score_threshold":1.5}"#, "ranking_options.score_threshold"),
            (r#","filters":{"type":"like","key":"a","value":"x"}"#, "filters.type"),
            (r#","filters":{"type":"and","filters":[]}"#, "filters.filters"),
            (r#","filters":{"type":"or","filters":[{"type":"gt","value":1}]}"#, "filters.filters[0].key"),
            (r#","filters":{"type":"eq","key":"a","value":{}}"#, "filters.value"),
            (r#","filters":{"type":"in","key":"a","value":"x"}"#, "filters.value"),
            (r#","filters":{"type":"eq","key":"a","valeu":1}"#, "filters.valeu"),
            (&deep, &place),
        ] {
            assert_eq!(search(members).unwrap_err().param.as_deref(), Some(param), "{members}");
        }
        for query in ["{}", r#"{"query":[]}"#, r#"{"query":""}"#, r#"{"query":["a",1]}"#, r#"{"query":7}"#] {
            assert_eq!(
                SearchVectorStore::parse(query.as_bytes()).unwrap_err().param.as_deref(),
                Some("query"),
                "{query}"
            );
        }
    }
}
