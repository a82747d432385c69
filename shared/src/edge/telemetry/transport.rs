//! The HTTP client for the collector. It is the client of the AWS SDK, so that no function links a second one.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::default_connector;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// The most bytes that are read of a collector's answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A client that is made at its first use, so that it costs nothing without spans.
#[derive(Debug, Default)]
pub(super) struct Transport(OnceLock<Option<SharedHttpConnector>>);

impl Transport {
    fn connector(&self) -> Option<&SharedHttpConnector> {
        let make = || {
            let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_millis(500)).build();
            default_connector(&settings, Some(SharedAsyncSleep::new(TokioSleep::new())))
        };
        self.0.get_or_init(make).as_ref()
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let connector = self.connector().ok_or("the AWS SDK was built without an HTTP client")?;
        let request = HttpRequest::try_from(request.map(SdkBody::from))?;
        let answer = connector.call(request).await?.try_into_http1x()?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}
