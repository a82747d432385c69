//! Responses: `/v1/responses` and `/v1/conversations`, and what hangs on them.

mod conversations;
mod tokens;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use shared::app::{CallOptions, ResponseRequest};
use shared::dialects::openai_responses::{CreateResponse, Item, ListQuery, check_include, list};
use shared::edge::{Deps, Params, Path, Rejection, body, function_ends, respond, respond_to};
use shared::model::object::Object;
use shared::model::project::Caller;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    Router::new()
        .route("/v1/responses", post(create))
        .route("/v1/responses/input_tokens", post(input_tokens))
        .route("/v1/responses/{id}", get(retrieve).delete(delete))
        .route("/v1/responses/{id}/cancel", post(cancel))
        .route("/v1/responses/{id}/input_items", get(input_items))
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
        .with_state(gateway)
}

type Sent = Result<Bytes, BytesRejection>;

async fn create(State(gateway): State<Deps>, caller: Caller, parts: Parts, sent: Sent) -> Result<Response, Rejection> {
    let create = CreateResponse::parse(&body(sent)?, gateway.clock().now())?;
    let request = ResponseRequest { create, terms: CallOptions::read(&parts)? };
    drop(parts); // They would keep the connection's read buffer until the answer.
    let asked = request.create.model.clone();
    Ok(respond_to(&gateway, &asked, gateway.create_response(caller, request).await))
}

async fn input_tokens(State(gateway): State<Deps>, caller: Caller, sent: Sent) -> Result<Response, Rejection> {
    let create = CreateResponse::parse_to_count(&body(sent)?, gateway.clock().now())?;
    let (create, context) = gateway.load_input(&caller, create).await?;
    let count = tokens::count(&create, &context);
    Ok(json(&Object::default().with("object", "response.input_tokens").with("input_tokens", &count)))
}

async fn retrieve(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    parts: Parts,
) -> Result<Response, Rejection> {
    if params.flag("stream")? {
        let after = params.number("starting_after")?;
        return Ok(respond(gateway.stream_response(&caller, &id, after, function_ends(&parts)).await?));
    }
    Ok(json(&gateway.response(&caller, &id).await?))
}

async fn cancel(State(gateway): State<Deps>, caller: Caller, Path(id): Path<String>) -> Result<Response, Rejection> {
    Ok(json(&gateway.cancel_response(&caller, &id).await?))
}

async fn delete(State(gateway): State<Deps>, caller: Caller, Path(id): Path<String>) -> Result<Response, Rejection> {
    Ok(json(&gateway.delete_response(&caller, &id).await?))
}

async fn input_items(
    State(gateway): State<Deps>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, Rejection> {
    let query = list_query(&params)?;
    let items = gateway.input_items(&caller, &id).await?;
    let (page, has_more) = query.page(items, Item::id, |_| true)?;
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
