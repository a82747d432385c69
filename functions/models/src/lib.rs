//! The models that are served: `/v1/models` and `/v1/models/{model}`.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use shared::app::Error;
use shared::edge::{Deps, Path, Rejection};
use shared::model::catalog::Model;
use shared::model::project::Caller;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    // Names with slashes arrive as `%2F`, and as plain slashes from clients that do not escape them.
    Router::new().route("/v1/models", get(list)).route("/v1/models/{*model}", get(retrieve)).with_state(gateway)
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

/// Models have no date of their own in `models.toml`; OpenAI's type wants one. 2026-01-01.
const CREATED: u64 = 1_767_225_600;

impl<'a> ModelObject<'a> {
    fn new(id: &'a str, model: &'a Model) -> Self {
        let owned_by = model.targets.first().map_or("weir", |target| target.provider.as_str());
        Self { id, object: "model", created: CREATED, owned_by }
    }
}

async fn list(State(gateway): State<Deps>, _: Caller) -> Json<serde_json::Value> {
    let models = gateway.catalog().models().iter();
    let named =
        models.flat_map(|model| std::iter::once(&model.name).chain(&model.aliases).map(move |name| (name, model)));
    let data = named.map(|(name, model)| ModelObject::new(name, model)).collect();
    Json(serde_json::json!(List { object: "list", data }))
}

async fn retrieve(
    State(gateway): State<Deps>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, Rejection> {
    let model = gateway.catalog().model(&name).ok_or_else(|| Error::UnknownModel(name.clone()))?;
    Ok(Json(serde_json::json!(ModelObject::new(&name, model))))
}
