//! The Responses API: `/v1/responses` and `/v1/conversations`.

mod compact;
mod conversations;
mod quote;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use shared::app::{Auth, Conversations, Quotes, ResponseRequest, Responses};
use shared::dialects::openai_responses::{CreateResponse, Item, ListQuery, check_include, list};
use shared::edge::{
    Copies, HeldTags, KeepAlive, Params, Path, Rejection, SentBody, call_options, function_ends, json_or_unchanged,
    read_body, respond, respond_to,
};
use shared::model::clock::Clock;
use shared::model::long_work::long_work;
use shared::model::object::Object;
use shared::model::project::Caller;
use shared::model::response::Status;

#[derive(Clone, FromRef)]
struct ResponsesApi {
    auth: Arc<Auth>,
    responses: Arc<Responses>,
    conversations: Arc<Conversations>,
    quotes: Arc<Quotes>,
    clock: Clock,
}

/// The routes of this function.
pub fn router(
    auth: Arc<Auth>,
    responses: Arc<Responses>,
    conversations: Arc<Conversations>,
    quotes: Arc<Quotes>,
    clock: Clock,
) -> Router {
    Router::new()
        .route("/v1/responses", post(create))
        .route("/v1/quote", post(quote::quote))
        .route("/v1/responses/input_tokens", post(count_input_tokens))
        .route("/v1/responses/compact", post(compact::compact))
        .route("/v1/responses/{id}", get(retrieve).delete(delete))
        .route("/v1/responses/{id}/cancel", post(cancel))
        .route("/v1/responses/{id}/input_items", get(list_input_items))
        .route("/v1/conversations", post(conversations::create))
        .route(
            "/v1/conversations/{id}",
            get(conversations::retrieve).post(conversations::update).delete(conversations::delete),
        )
        .route("/v1/conversations/{id}/items", get(conversations::list_items).post(conversations::add_items))
        .route(
            "/v1/conversations/{id}/items/{item_id}",
            get(conversations::retrieve_item).delete(conversations::delete_item),
        )
        .with_state(ResponsesApi { auth, responses, conversations, quotes, clock })
}

async fn create(
    State(responses): State<Arc<Responses>>,
    State(clock): State<Clock>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, |json| CreateResponse::parse(json, clock.now()))?;
    let request = ResponseRequest { create, options: call_options(&parts, &caller)? };
    drop(parts); // Its headers would keep the connection's read buffer in memory until the answer ends.
    let requested_model = request.create.model.clone();
    let answer = responses.create(caller, request).await;
    Ok(respond_to(&responses.models().known().catalog, &requested_model, answer, KeepAlive::Event))
}

async fn count_input_tokens(
    State(responses): State<Arc<Responses>>,
    State(clock): State<Clock>,
    caller: Caller,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, |json| CreateResponse::parse_to_count(json, clock.now()))?;
    let (create, context) = responses.load_input(&caller, create).await?;
    let count = long_work(create.bytes(&context), || tokens::count(&create, &context));
    Ok(json(&Object::default().with("object", "response.input_tokens").with("input_tokens", &count)))
}

async fn retrieve(
    State(responses): State<Arc<Responses>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    held: HeldTags,
    parts: Parts,
) -> Result<Response, Rejection> {
    if params.flag("stream")?.unwrap_or(false) {
        let after = params.number("starting_after")?;
        return Ok(respond(responses.stream(&caller, &id, after, function_ends(&parts)).await?, KeepAlive::Event));
    }
    let response = responses.retrieve(&caller, &id).await?;
    let status = response.get::<String>("status").and_then(|status| Status::parse(&status));
    if status.is_some_and(Status::is_terminal) {
        return Ok(json_or_unchanged(response.to_bytes(), &held, Copies::Checked));
    }
    Ok(json(&response))
}

async fn cancel(
    State(responses): State<Arc<Responses>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&responses.cancel(&caller, &id).await?))
}

async fn delete(
    State(responses): State<Arc<Responses>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    Ok(json(&responses.delete(&caller, &id).await?))
}

async fn list_input_items(
    State(responses): State<Arc<Responses>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Rejection> {
    let query = list_query(&params)?;
    let items = responses.input_items(&caller, &id).await?;
    let (page, has_more) = query.page(items, Item::id)?;
    Ok(json(&list(&page, has_more)))
}

/// Reads the parameters of a list of items.
fn list_query(params: &Params) -> Result<ListQuery, Rejection> {
    check_include(&params.list("include"))?;
    Ok(ListQuery::parse(params.text("order"), params.text("after"), params.number("limit")?)?)
}

fn json(object: &Object) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], object.to_bytes()).into_response()
}
