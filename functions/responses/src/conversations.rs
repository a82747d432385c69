//! `/v1/conversations` and the items of a conversation.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use shared::app::Conversations;
use shared::dialects::openai_responses::{NewConversation, changed_metadata, check_include, sent_items};
use shared::edge::{Params, Path, Rejection, SentBody, read_body};
use shared::model::clock::Clock;
use shared::model::project::Caller;

use crate::{json, list_query};

pub(crate) async fn create(
    State(conversations): State<Arc<Conversations>>,
    State(clock): State<Clock>,
    caller: Caller,
    body: SentBody,
) -> Result<Response, Rejection> {
    let new = NewConversation::parse(&read_body(body)?, clock.now())?;
    Ok(json(&conversations.create(&caller, new).await?))
}

pub(crate) async fn retrieve(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&conversations.get(&caller, &id).await?))
}

pub(crate) async fn update(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
    body: SentBody,
) -> Result<Response, Rejection> {
    let metadata = changed_metadata(&read_body(body)?)?;
    Ok(json(&conversations.update(&caller, &id, &metadata).await?))
}

pub(crate) async fn delete(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&conversations.delete(&caller, &id).await?))
}

pub(crate) async fn add_items(
    State(conversations): State<Arc<Conversations>>,
    State(clock): State<Clock>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    body: SentBody,
) -> Result<Response, Rejection> {
    check_include(&params.list("include"))?;
    let items = sent_items(&read_body(body)?, clock.now())?;
    Ok(json(&conversations.add_items(&caller, &id, items).await?))
}

pub(crate) async fn list_items(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Rejection> {
    let query = list_query(&params)?;
    Ok(json(&conversations.list_items(&caller, &id, &query).await?))
}

pub(crate) async fn retrieve_item(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Rejection> {
    check_include(&params.list("include"))?;
    Ok(json(&conversations.item(&caller, &id, &item_id).await?))
}

pub(crate) async fn delete_item(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    Ok(json(&conversations.delete_item(&caller, &id, &item_id).await?))
}
