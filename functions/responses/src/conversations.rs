//! `/v1/conversations` and the items of a conversation.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use shared::app::Conversations;
use shared::data::Conversation;
use shared::dialects::openai_responses::{
    NewConversation, changed_metadata, check_include, conversation, deleted_conversation, list, sent_items,
};
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
    let new = read_body(body, |json| NewConversation::parse(json, clock.now()))?;
    Ok(answer(&conversations.create(&caller, new).await?))
}

pub(crate) async fn retrieve(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(answer(&conversations.get(&caller, &id).await?))
}

pub(crate) async fn update(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
    body: SentBody,
) -> Result<Response, Rejection> {
    let metadata = read_body(body, changed_metadata)?;
    Ok(answer(&conversations.update(&caller, &id, &metadata).await?))
}

pub(crate) async fn delete(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    conversations.delete(&caller, &id).await?;
    Ok(json(&deleted_conversation(&id)))
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
    let items = read_body(body, |json| sent_items(json, clock.now()))?;
    conversations.add_items(&caller, &id, &items).await?;
    Ok(json(&list(&items, false)))
}

pub(crate) async fn list_items(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Rejection> {
    let query = list_query(&params)?;
    let (page, has_more) = conversations.list_items(&caller, &id, &query).await?;
    Ok(json(&list(&page, has_more)))
}

pub(crate) async fn retrieve_item(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Rejection> {
    check_include(&params.list("include"))?;
    Ok(json(&conversations.item(&caller, &id, &item_id).await?.0))
}

pub(crate) async fn delete_item(
    State(conversations): State<Arc<Conversations>>,
    caller: Caller,
    Path((id, item_id)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    Ok(answer(&conversations.delete_item(&caller, &id, &item_id).await?))
}

fn answer(found: &Conversation) -> Response {
    json(&conversation(&found.key.conversation_id, found.created_at, &found.metadata))
}
