//! Sends a recorded event through the function that serves it.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use embedded::Place;
use http_body_util::BodyExt as _;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use serde_json::{Value, json};
use shared::app::Components;
use shared::edge::config::HttpConfig;
use shared::edge::{bearer, stack};
use shared::model::key_text::ApiKeySecret;
use shared::model::secret::Secret;
use tower::ServiceExt as _;

use crate::functions::{FUNCTIONS, Function};
use crate::provision::provision_trial;
use crate::{Data, LocalError, Settings, stores};

/// Sends the event in a file through one function, on empty stores in memory, and returns the answer: for an API
/// Gateway event `statusCode`, `headers` and `body` as API Gateway gets them, for messages of a queue the failed ones,
/// for a schedule `null`.
///
/// The key of a request is valid: a new key of the project that it names takes its place, because other stores made the key
/// that was recorded. A key of another form is the admin key.
///
/// # Errors
/// If there is no such function, the file does not hold an event for it, or a timer's job failed.
pub async fn invoke(function: &str, event: &Path, settings: &Settings) -> Result<Value, LocalError> {
    let path = event.display().to_string();
    let text = std::fs::read_to_string(event).map_err(|source| LocalError::Read { path, source })?;
    let token = read_event(&text).ok().and_then(|request| bearer(request.headers()).map(str::to_owned));

    let (_engines, stores) = stores::open(&Data::Embedded(Place::Memory))?;
    let components = settings.components(stores, token.as_deref().map(Secret::new)).await?;
    let text = match (token.as_deref(), token.as_deref().and_then(ApiKeySecret::parse)) {
        (Some(token), Some(sent)) => {
            let check = components.stores().key_checks().get_or_create().await?;
            let key = ApiKeySecret::generate(sent.project_id(), &check);
            provision_trial(components.stores(), components.clock(), &key, "Event").await?;
            text.replace(token, key.secret().expose())
        }
        _ => text,
    };
    let answer = invoke_on(&components, function, &text, &settings.http).await;
    components.drain().await;
    answer
}

/// Sends the event `text` through one function as [`invoke`] does, on existing components.
///
/// # Errors
/// If there is no such function, `text` is not an event for it, or a timer's job failed.
pub async fn invoke_on(
    components: &Components,
    function: &str,
    text: &str,
    http: &HttpConfig,
) -> Result<Value, LocalError> {
    let found = FUNCTIONS.into_iter().find(|(name, _)| *name == function);
    let (_, start) = found.ok_or_else(|| LocalError::UnknownFunction {
        name: function.to_owned(),
        known: FUNCTIONS.map(|(name, _)| name).join(", "),
    })?;
    match start {
        Function::Http(router) => {
            let request = read_event(text).map_err(LocalError::Event)?;
            let answer = stack(router(components), http).oneshot(request).await;
            Ok(answer_json(answer.unwrap_or_else(|never| match never {})).await)
        }
        Function::Worker(worker) => {
            let event = serde_json::from_str(text).map_err(|error| LocalError::Event(error.to_string()))?;
            let function_ends = components.clock().now().plus_ms(900_000);
            Ok(json!(worker(components)(event, function_ends).await))
        }
        Function::Timer(job) => {
            let _: Value = serde_json::from_str(text).map_err(|error| LocalError::Event(error.to_string()))?;
            job(components)().await.map_err(|error| LocalError::Job(Box::new(error)))?;
            Ok(Value::Null)
        }
    }
}

/// The request of a recorded API Gateway event. Its path is without the stage, as deployed functions are configured to
/// see it.
///
/// # Errors
/// If `text` is not an event of API Gateway.
fn read_event(text: &str) -> Result<Request<Body>, String> {
    let request = lambda_http::request::from_str(text).map_err(|error| error.to_string())?;
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        _ => None,
    };
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let without = stage.and_then(|stage| path.strip_prefix(&format!("/{stage}")).map(str::to_owned));
    if let Some(path) = without {
        parts.uri = path.parse().map_err(|error| format!("its path is no path: {error}"))?;
    }
    Ok(Request::from_parts(parts, Body::from(body.to_vec())))
}

async fn answer_json(answer: axum::response::Response) -> Value {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let (body, is_base64) = match String::from_utf8(body.into()) {
        Ok(text) => (text, false),
        Err(bytes) => (BASE64_STANDARD.encode(bytes.as_bytes()), true),
    };
    let mut answer = json!({ "statusCode": parts.status.as_u16(), "headers": headers, "body": body });
    if is_base64 {
        answer["isBase64Encoded"] = Value::Bool(true);
    }
    answer
}
