//! AWS on loopback: the embedded engines and a Secrets Manager with given secrets, behind one endpoint.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use kit::Connectors;
use serde::Deserialize;
use serde_json::json;

use crate::http::{Cut, Server, respond};

/// The AWS of one deployment. Its functions find it through their environment.
pub struct Aws {
    server: Server,
    inner: Arc<Inner>,
}

struct Inner {
    connectors: Connectors,
    secrets: HashMap<String, String>,
    called: Mutex<BTreeSet<String>>,
}

impl Aws {
    /// Serves the engines behind `connectors`, and `secrets` by name.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(connectors: Connectors, secrets: HashMap<String, String>) -> io::Result<Self> {
        let inner = Arc::new(Inner { connectors, secrets, called: Mutex::default() });
        let of_server = Arc::clone(&inner);
        let server = Server::start(move |request| answer(Arc::clone(&of_server), request)).await?;
        Ok(Self { server, inner })
    }

    /// Returns the environment variables with the endpoint, and with credentials that the embedded S3 accepts.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.server.address);
        let variables = [
            ("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()),
            ("AWS_ENDPOINT_URL_S3", &url),
            ("AWS_ENDPOINT_URL_SQS", &url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Returns the operations that were called, like `DynamoDB_20120810.GetItem`. Those of S3 are named by their
    /// method.
    #[must_use]
    pub fn called(&self) -> BTreeSet<String> {
        self.inner.called.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).map(str::to_owned);
    let called = target.clone().unwrap_or_else(|| format!("S3.{}", parts.method));
    inner.called.lock().unwrap_or_else(PoisonError::into_inner).insert(called);
    let connector = match target.as_deref().and_then(|target| target.split_once('.')) {
        Some(("DynamoDB_20120810", _)) => &inner.connectors.dynamo,
        Some(("AmazonSQS", _)) => &inner.connectors.sqs,
        Some(("secretsmanager", "GetSecretValue")) => return Ok(get_secret(&inner.secrets, &body)),
        Some(_) => return Ok(respond(400, r#"{"__type":"UnknownOperationException"}"#)),
        None => &inner.connectors.s3,
    };
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).ok_or(Cut)?;
    let uri = format!("http://{host}{}", parts.uri).parse().map_err(|_| Cut)?;
    let mut request = Request::from_parts(parts, SdkBody::from(body));
    *request.uri_mut() = uri;
    forward(connector, request).await
}

/// Sends a request through the connector of an engine, as the SDK does inside a process.
async fn forward(connector: &SharedHttpConnector, request: Request<SdkBody>) -> Result<Response<Full<Bytes>>, Cut> {
    let request = HttpRequest::try_from(request).map_err(|_| Cut)?;
    // A fault that a test injects below the SDK becomes a broken connection here.
    let answer = connector.call(request).await.map_err(|_| Cut)?.try_into_http1x().map_err(|_| Cut)?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

fn get_secret(secrets: &HashMap<String, String>, body: &[u8]) -> Response<Full<Bytes>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        secret_id: String,
    }
    let asked = serde_json::from_slice::<Asked>(body).ok().map(|asked| asked.secret_id);
    match asked.and_then(|name| Some((secrets.get(&name)?.as_str(), name))) {
        Some((value, name)) => respond(200, json!({ "Name": name, "SecretString": value }).to_string()),
        None => respond(400, json!({ "__type": "ResourceNotFoundException", "Message": "no such secret" }).to_string()),
    }
}
