//! Models in Anthropic's shape.

use serde::Serialize;
use serde_json::{Value, json};
use shared::edge::{Params, Rejection};
use shared::model::catalog::{Model, ModelKind};
use shared::model::invalid::Invalid;

/// 2026-01-01. Anthropic's type requires a date, and a model in `models.toml` has none.
const CREATED: &str = "2026-01-01T00:00:00Z";
/// Anthropic's default, and its limit.
const PAGE: usize = 20;
const MOST_ON_A_PAGE: usize = 1_000;

#[derive(Serialize)]
pub(crate) struct ModelInfo<'a> {
    r#type: &'static str,
    pub(crate) id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
    max_input_tokens: u64,
    max_tokens: u64,
}

impl<'a> ModelInfo<'a> {
    pub(crate) fn new(id: &'a str, model: &'a Model) -> Self {
        let (max_input_tokens, max_tokens) = (model.context_tokens, model.max_output_tokens);
        Self { r#type: "model", id, display_name: id, created_at: CREATED, max_input_tokens, max_tokens }
    }
}

/// The page that the query asks for. Only models that write text are models here.
///
/// # Errors
/// If `limit` is not between 1 and 1,000, or `after_id` or `before_id` is no model of the list.
pub(crate) fn page<'a>(
    models: impl Iterator<Item = (&'a String, &'a Model)>,
    params: &Params,
) -> Result<Value, Rejection> {
    let limit = match params.number("limit")? {
        None => PAGE,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MOST_ON_A_PAGE).contains(limit))
            .ok_or_else(|| Invalid::field("limit", format!("`limit` is {limit}, expected 1 to {MOST_ON_A_PAGE}.")))?,
    };
    let chat = models.filter(|(_, model)| model.kind == ModelKind::Chat);
    let mut data: Vec<ModelInfo<'_>> = chat.map(|(name, model)| ModelInfo::new(name, model)).collect();
    let find = |name: &str, data: &[ModelInfo<'_>]| match params.text(name) {
        None => Ok(None),
        Some(id) => data
            .iter()
            .position(|model| model.id == id)
            .map(Some)
            .ok_or_else(|| Invalid::field(name, format!("`{name}` is `{id}`, which is no model of this list."))),
    };
    let has_more = match (find("after_id", &data)?, find("before_id", &data)?) {
        (None, Some(before)) => {
            data.truncate(before);
            let first = data.len().saturating_sub(limit);
            data.drain(..first);
            first > 0
        }
        (after, _) => {
            data.drain(..after.map_or(0, |after| after + 1));
            let has_more = data.len() > limit;
            data.truncate(limit);
            has_more
        }
    };
    let id = |model: Option<&ModelInfo<'_>>| model.map(|model| model.id.to_owned());
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    Ok(json!({"data": data, "has_more": has_more, "first_id": first_id, "last_id": last_id}))
}
