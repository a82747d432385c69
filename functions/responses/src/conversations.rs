//! Conversations: `/v1/conversations` and their items.

use axum::extract::State;
use axum::response::Response;
use shared::dialects::openai_responses::{NewConversation, changed_metadata, check_include, sent_items};
use shared::edge::{Deps, Params, Path, Rejection, body};
use shared::model::project::Caller;

use crate::{Sent, json, list_query};

pub(crate) async fn create(State(gateway): State<Deps>, caller: Caller, sent: Sent) -> Result<Response, Rejection> {
    let new = NewConversation::parse(&body(sent)?, gateway.clock().now())?;
    Ok(json(&gateway.create_conversation(&caller, new).await?))
}

pub(crate) async fn retrieve(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&gateway.conversation(&caller, &id).await?))
}

pub(crate) async fn update(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Rejection> {
    let metadata = changed_metadata(&body(sent)?)?;
    Ok(json(&gateway.update_conversation(&caller, &id, &metadata).await?))
}

pub(crate) async fn delete(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&gateway.delete_conversation(&caller, &id).await?))
}

pub(crate) async fn add_items(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    sent: Sent,
) -> Result<Response, Rejection> {
    check_include(&params.list("include"))?;
    let items = sent_items(&body(sent)?, gateway.clock().now())?;
    Ok(json(&gateway.add_items(&caller, &id, items).await?))
}

pub(crate) async fn list_items(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Rejection> {
    let query = list_query(&params)?;
    Ok(json(&gateway.list_items(&caller, &id, &query).await?))
}

pub(crate) async fn retrieve_item(
    State(gateway): State<Deps>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Rejection> {
    check_include(&params.list("include"))?;
    Ok(json(&gateway.item(&caller, &id, &item_id).await?))
}

pub(crate) async fn delete_item(
    State(gateway): State<Deps>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    Ok(json(&gateway.delete_item(&caller, &id, &item_id).await?))
}
