//! Vector stores and their files as JSON, and the queries of lists.

use serde::Serialize;
use shared::app::SearchResult;
use shared::data::ListQuery;
use shared::edge::Params;
use shared::model::clock::Timestamp;
use shared::model::id;
use shared::model::invalid::Invalid;
use shared::model::object::Object;
use shared::model::vector_store::{
    Attributes, ChunkingStrategy, FileCounts, FileProblem, FileStatus, StoreFile, StoreStatus, VectorStore,
};

#[derive(Serialize)]
pub(crate) struct StoreObject {
    id: String,
    object: &'static str,
    created_at: u64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    usage_bytes: u64,
    file_counts: FileCounts,
    status: StoreStatus,
    expires_after: Option<ExpiresAfter>,
    expires_at: Option<u64>,
    last_active_at: u64,
    metadata: Object,
    weir: OwnFields,
}

#[derive(Serialize)]
struct ExpiresAfter {
    anchor: &'static str,
    days: u64,
}

/// What OpenAI's stores do not tell.
#[derive(Serialize)]
struct OwnFields {
    embedding_model: String,
}

impl StoreObject {
    /// The store as it is at a time.
    pub(crate) fn new(store: VectorStore, now: Timestamp) -> Self {
        Self {
            status: store.status(now),
            expires_at: store.expires_at().map(|at| at.seconds()),
            expires_after: store.expires_after_days.map(|days| ExpiresAfter { anchor: "last_active_at", days }),
            id: store.key.store_id,
            object: "vector_store",
            created_at: store.created_at.seconds(),
            name: store.name,
            description: store.description,
            usage_bytes: store.usage_bytes,
            file_counts: store.counts,
            last_active_at: store.last_active_at.seconds(),
            metadata: store.metadata,
            weir: OwnFields { embedding_model: store.embedding_model },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct StoreFileObject {
    id: String,
    object: &'static str,
    usage_bytes: u64,
    created_at: u64,
    vector_store_id: String,
    status: FileStatus,
    last_error: Option<FileProblem>,
    chunking_strategy: StaticStrategy,
    attributes: Attributes,
}

#[derive(Serialize)]
struct StaticStrategy {
    r#type: &'static str,
    r#static: ChunkingStrategy,
}

impl From<StoreFile> for StoreFileObject {
    fn from(file: StoreFile) -> Self {
        Self {
            id: file.key.file_id,
            object: "vector_store.file",
            usage_bytes: file.usage_bytes,
            created_at: file.created_at.seconds(),
            vector_store_id: file.key.store.store_id,
            status: file.status,
            last_error: file.problem,
            chunking_strategy: StaticStrategy { r#type: "static", r#static: file.chunking },
            attributes: file.attributes,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Deleted {
    id: String,
    object: &'static str,
    deleted: bool,
}

impl Deleted {
    pub(crate) fn store(id: String) -> Self {
        Self { id, object: "vector_store.deleted", deleted: true }
    }

    pub(crate) fn file(id: String) -> Self {
        Self { id, object: "vector_store.file.deleted", deleted: true }
    }
}

/// Pieces of text, all on one page.
#[derive(Serialize)]
pub(crate) struct ContentPage {
    object: &'static str,
    data: Vec<Text>,
    has_more: bool,
    next_page: Option<String>,
}

#[derive(Serialize)]
struct Text {
    r#type: &'static str,
    text: String,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { r#type: "text", text }
    }
}

impl ContentPage {
    pub(crate) fn new(texts: Vec<String>) -> Self {
        let data = texts.into_iter().map(Text::from).collect();
        Self { object: "vector_store.file_content.page", data, has_more: false, next_page: None }
    }
}

/// The results of a search, all on one page.
#[derive(Serialize)]
pub(crate) struct SearchPage {
    object: &'static str,
    search_query: Vec<String>,
    data: Vec<ResultObject>,
    has_more: bool,
    next_page: Option<String>,
}

#[derive(Serialize)]
struct ResultObject {
    file_id: String,
    filename: String,
    score: f64,
    attributes: Attributes,
    content: [Text; 1],
}

impl SearchPage {
    pub(crate) fn new(queries: Vec<String>, results: Vec<SearchResult>) -> Self {
        let data = results.into_iter().map(|SearchResult { file_id, filename, attributes, score, text }| {
            ResultObject { file_id, filename, score, attributes, content: [text.into()] }
        });
        Self {
            object: "vector_store.search_results.page",
            search_query: queries,
            data: data.collect(),
            has_more: false,
            next_page: None,
        }
    }
}

/// The longest page, and the usual one.
const MAX_LIMIT: u64 = 100;
const USUAL_LIMIT: u64 = 20;

/// Reads the parameters `after`, `before`, `order` and `limit`.
pub(crate) fn list_query(params: &Params) -> Result<ListQuery, Invalid> {
    let limit = params.number("limit")?.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Invalid::field("limit", format!("`limit` is {limit}, expected 1 to {MAX_LIMIT}.")));
    }
    let oldest_first = match params.text("order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => {
            return Err(Invalid::field("order", format!("`order` is `{other}`, expected `asc` or `desc`.")));
        }
    };
    let id = |name: &str| {
        let text = params.text(name);
        if text.is_some_and(|text| text.len() > id::MAX_LENGTH) {
            return Err(Invalid::field(name, format!("`{name}` is no id. Send one of the page before.")));
        }
        Ok(text.map(str::to_owned))
    };
    Ok(ListQuery {
        after: id("after")?,
        before: id("before")?,
        oldest_first,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}

/// Reads the parameter `filter` of a list of files.
pub(crate) fn file_filter(params: &Params) -> Result<Option<FileStatus>, Invalid> {
    let Some(name) = params.text("filter") else { return Ok(None) };
    let wrong = || {
        let names = FileStatus::ALL.map(FileStatus::name).join(", ");
        Invalid::field("filter", format!("`filter` is `{name}`, expected one of: {names}."))
    };
    FileStatus::parse(name).map(Some).ok_or_else(wrong)
}
