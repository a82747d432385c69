//! Sending a request through a router and reading the whole answer.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `error.code`, or nothing.
    #[must_use]
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body.pointer("/error/code").or_else(|| body.pointer("/error/details/error_code"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Sends a request; `headers` are `name: value`. The content type is JSON unless they name another. The answer is whole when the books are closed.
pub async fn send(
    router: &Router,
    method: &str,
    path: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("the request is well formed");
    let (parts, body) = router.clone().oneshot(request).await.expect("routers do not fail").into_parts();
    let body = body.collect().await.expect("bodies do not fail").to_bytes();
    Reply { status: parts.status.as_u16(), headers: parts.headers, body }
}
