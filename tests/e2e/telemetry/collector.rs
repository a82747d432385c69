//! A collector on loopback that takes spans over OTLP and remembers them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A collector that runs until it is dropped.
pub(super) struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Bytes>>>,
    server: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Collector {
    #[expect(clippy::disallowed_methods, reason = "a collector is another process")]
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/v1/traces", post(take)).with_state(taken.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, taken, server }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Whether a text is anywhere in what was taken.
    pub(super) fn has(&self, text: &str) -> bool {
        let bytes = |taken: &Bytes| taken.windows(text.len()).any(|window| window == text.as_bytes());
        self.taken.lock().unwrap().iter().any(bytes)
    }

    pub(super) fn exports(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// The names of the services that sent spans.
    pub(super) fn services(&self) -> Vec<String> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        let attributes = resources.flat_map(|spans| spans.resource.unwrap().attributes);
        attributes.filter(|attribute| attribute.key == "service.name").map(|name| text(name.value.as_ref())).collect()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let scopes = self.requests().into_iter().flat_map(|request| request.resource_spans);
        scopes.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans).collect()
    }

    /// The one span of this name.
    pub(super) fn span(&self, name: &str) -> Span {
        let mut found: Vec<Span> = self.spans().into_iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans of the name {name}");
        found.remove(0)
    }

    /// All spans below a parent, as an indented tree.
    pub(super) fn tree(&self, parent: &[u8]) -> String {
        let mut tree = String::new();
        grow(&self.spans(), parent, 0, &mut tree);
        tree
    }
}

async fn take(State(taken): State<Arc<Mutex<Vec<Bytes>>>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    taken.lock().unwrap().push(body);
    [(header::CONTENT_TYPE, "application/x-protobuf")]
}

fn grow(spans: &[Span], parent: &[u8], depth: usize, tree: &mut String) {
    let mut children: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    for span in children {
        let kind = SpanKind::try_from(span.kind).unwrap().as_str_name().trim_start_matches("SPAN_KIND_");
        writeln!(tree, "{}{kind} {}{}", "  ".repeat(depth), span.name, shown(&span.attributes)).unwrap();
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        grow(spans, &span.span_id, depth + 1, tree);
    }
}

/// Every attribute by name. Ids are `_`.
fn shown(attributes: &[KeyValue]) -> String {
    let value = |attribute: &KeyValue| match attribute.key.as_str() {
        "messaging.message.id" => "_".to_owned(),
        _ => text(attribute.value.as_ref()),
    };
    let mut all: Vec<String> = attributes.iter().map(|each| format!(" {}={}", each.key, value(each))).collect();
    all.sort();
    all.concat()
}

/// An attribute's value as text.
pub(super) fn attribute(span: &Span, name: &str) -> String {
    text(span.attributes.iter().find(|attribute| attribute.key == name).and_then(|found| found.value.as_ref()))
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::ArrayValue(array)) => {
            let values: Vec<String> = array.values.iter().map(|value| text(Some(value))).collect();
            format!("[{}]", values.join(","))
        }
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}
