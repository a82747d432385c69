//! The models of the catalog, `/v1/models` and `/v1/models/{model}`, in OpenAI's or Anthropic's shape, and whether they can be served, `/healthz`.

mod anthropic;

use std::sync::Arc;

use anthropic::ModelInfo;
use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use shared::app::{Auth, Models};
use shared::edge::{Copies, HeldTags, Params, Path, Rejection, is_anthropics, json_or_unchanged};
use shared::model::catalog::Model;
use shared::model::project::Caller;

#[derive(Clone, FromRef)]
struct ModelsApi {
    auth: Arc<Auth>,
    models: Arc<Models>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, models: Arc<Models>) -> Router {
    Router::new()
        .route("/v1/models", get(list))
        // A wildcard, because a client may send a slash in a name as `%2F` or as it is.
        .route("/v1/models/{*model}", get(retrieve))
        .route("/healthz", get(health))
        .with_state(ModelsApi { auth, models })
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<ModelObject<'a>>,
}

#[derive(Serialize)]
struct ModelObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// 2026-01-01. OpenAI's type requires a date, and a model in `models.toml` has none.
const CREATED: u64 = 1_767_225_600;

impl<'a> ModelObject<'a> {
    fn new(id: &'a str, model: &'a Model) -> Self {
        let owned_by = model.targets.first().map_or("weir", |target| target.provider.as_str());
        Self { id, object: "model", created: CREATED, owned_by }
    }
}

async fn list(
    State(models): State<Arc<Models>>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    held: HeldTags,
) -> Result<Response, Rejection> {
    let served = models.current().await?;
    let models = served.catalog.models().iter();
    let with_names =
        models.flat_map(|model| std::iter::once(&model.name).chain(&model.aliases).map(move |name| (name, model)));
    let usable = with_names.filter(|(name, _)| caller.check_model(name).is_ok());
    if is_anthropics(&headers) {
        return Ok(answer(&anthropic::page(usable, &params)?, &held));
    }
    let data = usable.map(|(name, model)| ModelObject::new(name, model)).collect();
    Ok(answer(&serde_json::json!(List { object: "list", data }), &held))
}

async fn retrieve(
    State(models): State<Arc<Models>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    held: HeldTags,
) -> Result<Response, Rejection> {
    let served = models.current().await?;
    // A name has no slash at its end, and a path may.
    let name = name.trim_end_matches('/');
    let model = served.model_for(&caller, name)?;
    let object = match is_anthropics(&headers) {
        true => serde_json::json!(ModelInfo::new(name, model)),
        false => serde_json::json!(ModelObject::new(name, model)),
    };
    Ok(answer(&object, &held))
}

fn answer(object: &serde_json::Value, held: &HeldTags) -> Response {
    json_or_unchanged(object.to_string().into(), held, Copies::Minute)
}

/// Says whether the models can be served.
async fn health(State(models): State<Arc<Models>>) -> Result<String, Rejection> {
    let wrong = models.current().await?.catalog.problems().len();
    Ok(match wrong {
        0 => "ok\n".to_owned(),
        wrong => format!("ok, but the models file has {wrong} errors; `weir models check` shows them\n"),
    })
}
