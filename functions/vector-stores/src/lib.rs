//! Vector stores of a project: made, searched and deleted, and their files. Every route requires an API key of the project.

mod files;
mod wire;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use shared::app::{Auth, StoreFiles, VectorSearch, VectorStores};
use shared::dialects::openai_vector_stores::{CreateVectorStore, SearchVectorStore, UpdateVectorStore};
use shared::edge::{COST, List, Params, Path, Rejection, SentBody, call_options, made, read_body};
use shared::model::project::Caller;

use wire::{Deleted, SearchPage, StoreObject};

#[derive(Clone, FromRef)]
struct VectorStoresApi {
    auth: Arc<Auth>,
    stores: Arc<VectorStores>,
    files: Arc<StoreFiles>,
    search: Arc<VectorSearch>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, stores: Arc<VectorStores>, files: Arc<StoreFiles>, search: Arc<VectorSearch>) -> Router {
    Router::new()
        .route("/v1/vector_stores", get(list).post(create))
        .route("/v1/vector_stores/{vector_store_id}", get(retrieve).post(update).delete(delete))
        .route("/v1/vector_stores/{vector_store_id}/search", post(find))
        .route("/v1/vector_stores/{vector_store_id}/files", get(files::list).post(files::attach))
        .route(
            "/v1/vector_stores/{vector_store_id}/files/{file_id}",
            get(files::retrieve).post(files::update).delete(files::detach),
        )
        .route("/v1/vector_stores/{vector_store_id}/files/{file_id}/content", get(files::content))
        .with_state(VectorStoresApi { auth, stores, files, search })
}

/// OpenAI's clients ask again after so long while files are ingested.
const POLL: (HeaderName, &str) = (HeaderName::from_static("openai-poll-after-ms"), "500");

async fn create(
    State(stores): State<Arc<VectorStores>>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, CreateVectorStore::parse)?;
    let options = call_options(&parts, &caller)?;
    let now = stores.now();
    Ok(made(stores.create(&caller, create, &options).await?, |store| Json(StoreObject::new(store, now))))
}

async fn list(
    State(stores): State<Arc<VectorStores>>,
    caller: Caller,
    params: Params,
) -> Result<Json<List<StoreObject>>, Rejection> {
    let (page, now) = (stores.list(&caller, &wire::list_query(&params)?).await?, stores.now());
    Ok(Json(List::of(page, |store| &store.key.store_id, |store| StoreObject::new(store, now))))
}

async fn retrieve(
    State(stores): State<Arc<VectorStores>>,
    caller: Caller,
    Path(store_id): Path<String>,
) -> Result<Response, Rejection> {
    let store = stores.get(&caller, &store_id).await?;
    Ok(([POLL], Json(StoreObject::new(store, stores.now()))).into_response())
}

async fn update(
    State(stores): State<Arc<VectorStores>>,
    caller: Caller,
    Path(store_id): Path<String>,
    body: SentBody,
) -> Result<Json<StoreObject>, Rejection> {
    let update = read_body(body, UpdateVectorStore::parse)?;
    let store = stores.change(&caller, &store_id, update).await?;
    Ok(Json(StoreObject::new(store, stores.now())))
}

async fn delete(
    State(stores): State<Arc<VectorStores>>,
    caller: Caller,
    Path(store_id): Path<String>,
) -> Result<Json<Deleted>, Rejection> {
    stores.delete(&caller, &store_id).await?;
    Ok(Json(Deleted::store(store_id)))
}

async fn find(
    State(search): State<Arc<VectorSearch>>,
    caller: Caller,
    Path(store_id): Path<String>,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let asked = read_body(body, SearchVectorStore::parse)?;
    let options = call_options(&parts, &caller)?;
    let found = search.search(&caller, &store_id, &asked, &options).await?;
    let cost = [(COST, found.cost.to_string())];
    Ok((cost, Json(SearchPage::new(asked.queries, found.results))).into_response())
}
