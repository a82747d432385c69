//! A connector below the AWS SDK that plays recorded answers and records requests.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, ProvideCredentials, Region};
use aws_sdk_bedrockruntime::{Client, Config};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use providers::bedrock::Bedrock;
use serde_json::Value;
use shared::model::clock::Clock;

/// A recorded answer of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "application/json"), ("x-amzn-requestid", "aws-request-1")];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    /// An error of the service.
    pub(crate) fn error(status: u16, code: &'static str) -> Self {
        let mut recorded = Self::json(status, r#"{"message":"the reason"}"#);
        recorded.headers.push(("x-amzn-errortype", code));
        recorded
    }

    /// Frames of an event stream, from lines of `{"event": ..., "payload": ...}` or `{"exception": ..., "payload": ...}`.
    pub(crate) fn frames(lines: &str) -> Self {
        let mut body = Vec::new();
        for line in lines.lines() {
            aws_smithy_eventstream::frame::write_message_to(&frame(line), &mut body).unwrap();
        }
        let headers =
            vec![("content-type", "application/vnd.amazon.eventstream"), ("x-amzn-requestid", "aws-request-1")];
        Self { status: 200, headers, body }
    }
}

fn frame(line: &str) -> Message {
    let line: Value = serde_json::from_str(line).unwrap();
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let (kind, name) = match line["event"].as_str() {
        Some(event) => ("event", header(":event-type", event)),
        None => ("exception", header(":exception-type", line["exception"].as_str().unwrap())),
    };
    Message::new(line["payload"].to_string())
        .add_header(header(":message-type", kind))
        .add_header(name)
        .add_header(header(":content-type", "application/json"))
}

/// A request that the SDK sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub path: String,
    pub body: Value,
}

#[derive(Debug, Clone)]
pub(crate) struct Aws {
    recorded: Recorded,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Aws {
    pub(crate) fn new(recorded: Recorded) -> Self {
        Self { recorded, sent: Arc::default() }
    }

    /// A provider that calls this connector instead of AWS.
    pub(crate) fn bedrock(&self) -> Bedrock {
        self.bedrock_as(Credentials::new("AKID", "secret", None, None, "test"))
    }

    /// The same for a caller with other credentials.
    pub(crate) fn bedrock_as(&self, credentials: impl ProvideCredentials + 'static) -> Bedrock {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(credentials)
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Bedrock::with_client(Client::from_conf(config), Clock::manual(1_700_000_000_000))
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = request.uri().parse::<http::Uri>().unwrap().path().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.sent.lock().unwrap().push(Sent { path, body });
        let mut response =
            HttpResponse::new(self.recorded.status.try_into().unwrap(), SdkBody::from(self.recorded.body.clone()));
        for (name, value) in &self.recorded.headers {
            response.headers_mut().insert(*name, *value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}
