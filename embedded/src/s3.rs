//! Answers the SDK's requests with the embedded S3 engine.

use std::fmt;
use std::path::Path;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{BUCKET, OpenError};

pub(crate) const ACCESS_KEY: &str = "local";
pub(crate) const SECRET_KEY: &str = "local";

pub(crate) fn connector(folder: &Path) -> Result<SharedHttpConnector, OpenError> {
    Ok(SharedHttpConnector::new(Engine(service(folder)?)))
}

/// Serves the buckets in a folder over HTTP until the process ends. Benchmarks use it to put the bucket into another process.
///
/// # Errors
/// If the engine does not open or the listener fails.
pub async fn serve_s3(listener: TcpListener, folder: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(folder.join(BUCKET)).map_err(crate::folder("create", folder))?;
    let (service, mut connections) = (service(folder)?, JoinSet::new());
    loop {
        let (connection, _) =
            listener.accept().await.map_err(|error| OpenError::Engine { engine: "S3", source: error.into() })?;
        let served =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service.clone());
        connections.spawn(served);
        while connections.try_join_next().is_some() {}
    }
}

fn service(folder: &Path) -> Result<S3Service, OpenError> {
    let engine = s3s_fs::FileSystem::new(folder)
        .map_err(|error| OpenError::Engine { engine: "S3", source: format!("{error:?}").into() })?;
    let mut builder = S3ServiceBuilder::new(engine);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    Ok(builder.build())
}

struct Engine(S3Service);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("embedded S3")
    }
}

impl HttpConnector for Engine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.0.clone();
        HttpConnectorFuture::new(async move { forward(&service, request).await })
    }
}

async fn forward(service: &S3Service, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    if let Some(host) = request.uri().strip_prefix("http://").and_then(|rest| rest.split('/').next()).map(str::to_owned)
    {
        request.headers_mut().insert("host", host); // Part of the signature; an HTTP client would add it.
    }
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let answer = service
        .call(request.map(s3s::Body::http_body_unsync))
        .await
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let answer = answer.map(SdkBody::from_body_1_x);
    HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
}
