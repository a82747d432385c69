//! `POST /v1/responses/compact`: a conversation becomes a summary.

use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use shared::app::{CallAnswer, ResponseRequest, Responses};
use shared::dialects::openai_responses::CreateResponse;
use shared::edge::{KeepAlive, Rejection, SentBody, call_options, read_body, refuse_answer, respond, respond_to};
use shared::model::clock::Clock;
use shared::model::invalid::Invalid;
use shared::model::object::Object;
use shared::model::project::Caller;

pub(crate) async fn compact(
    State(responses): State<Arc<Responses>>,
    State(clock): State<Clock>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Response, Rejection> {
    let create = read_body(body, |json| CreateResponse::parse_to_compact(json, clock.now()))?;
    let options = call_options(&parts, &caller)?;
    drop(parts); // Its headers would keep the connection's read buffer in memory until the answer ends.
    let asked = create.clone();
    let answer = responses.create(caller, ResponseRequest { create, options }).await;
    Ok(match answer {
        Ok(answer) => compacted(&asked, answer).await,
        Err(error) => respond_to(&responses.models().known().catalog, &asked.model, Err(error), KeepAlive::Event),
    })
}

/// The answer with the compaction in place of the response. A replayed answer is one of an equal request.
async fn compacted(asked: &CreateResponse, mut answer: CallAnswer) -> Response {
    let mut body = Vec::new();
    while let Some(piece) = answer.body.recv().await {
        body.extend_from_slice(&piece);
    }
    let response = Object::parse(&body).ok();
    match response.and_then(|response| asked.compacted(&response)) {
        Some(compaction) => respond(answer.with_body(compaction.to_bytes()), KeepAlive::Event),
        None => refuse_answer(answer.metadata, incomplete()),
    }
}

fn incomplete() -> Invalid {
    Invalid {
        message: "The model did not finish the summary. Send less input, or name a model that may write more."
            .to_owned(),
        param: Some("input".to_owned()),
        code: Some("compaction_incomplete"),
    }
}
