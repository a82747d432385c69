//! The server: every router behind one listener, every worker behind its queue, until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::rejection::BytesRejection;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use embedded::{Engines, Place};
use shared::data::Stores;
use shared::edge::telemetry::observed;
use shared::edge::{self, Deps, Rejection, Telemetry};
use shared::model::project::ApiKeySecret;
use shared::model::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::first_run::{Keys, admit_key};
use crate::functions::routes;
use crate::{Data, LocalError, Settings, stores, workers};

/// How long a span waits at most.
const SEND_EVERY: Duration = Duration::from_secs(2);

/// A server that listens; [`Running::run`] serves.
pub struct Running {
    listener: TcpListener,
    router: Router,
    gateway: Deps,
    engines: Engines,
    /// Of a project that was made for trying things out.
    pub project_key: Secret,
    pub admin_key: Secret,
    pub model_names: Vec<String>,
    telemetry: Telemetry,
}

/// Opens the stores and the port. Nothing is served before [`Running::run`].
///
/// # Errors
/// The port is in use, the models file is wrong, the data folder is locked: see [`LocalError`].
pub async fn serve(settings: &Settings) -> Result<Running, LocalError> {
    let listener = listen(settings.address).await?;
    let (engines, stores) = stores::open(&settings.data).await?;
    let folder = match &settings.data {
        Data::Embedded(Place::Folder(folder)) => Some(folder.as_path()),
        Data::Embedded(Place::Memory) | Data::RemoteTable(_) => None,
    };
    let keys = Keys::load(folder, settings.admin_key.as_ref())?;
    let gateway = settings.gateway(stores, Some(Secret::new(&keys.admin_key)))?;
    let damaged = || LocalError::Keys { path: "keys.json".to_owned(), reason: "`project_key` is no key".to_owned() };
    let project_key = ApiKeySecret::parse(&keys.project_key).ok_or_else(damaged)?;
    admit_key(&gateway, &project_key, "Local").await?;
    Ok(Running {
        listener,
        router: edge::stack(routes(&gateway).layer(middleware::from_fn(whole))),
        model_names: gateway.catalog().models().iter().map(|model| model.name.clone()).collect(),
        gateway,
        engines,
        project_key: project_key.secret().clone(),
        admin_key: Secret::new(keys.admin_key),
        telemetry: Telemetry::default(),
    })
}

/// Takes the whole body before anything is decided, as Lambda does. Hyper closes a connection whose request was answered
/// before it had come, and does not tell the client, whose next request then fails.
async fn whole(head: Parts, body: Result<Bytes, BytesRejection>, next: Next) -> Response {
    let Ok(body) = body else { return Rejection::TooLarge.into_response() };
    next.run(Request::from_parts(head, Body::from(body))).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, LocalError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => LocalError::PortInUse { port: address.port() },
        _ => LocalError::Listen { port: address.port(), source },
    })
}

impl Running {
    /// The address that the server listens on.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> Result<SocketAddr, LocalError> {
        self.listener.local_addr().map_err(LocalError::Serve)
    }

    /// Tells what happens while the server runs.
    #[must_use]
    pub fn telling(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// The stores that the server works on.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        self.gateway.stores()
    }

    /// Serves and works until `stop` resolves, then until every call and job that was begun has closed its books.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), LocalError> {
        let listener = self.listener.tap_io(|connection| {
            // Small chunks of a stream must not wait for each other.
            if let Err(error) = connection.set_nodelay(true) {
                tracing::warn!(%error, "TCP_NODELAY not set");
            }
        });
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let stop = async move {
            stop.await;
            stopped.cancel();
        };
        let serving = async {
            let router = observed(self.router, self.telemetry.clone());
            let serving = axum::serve(listener, router.into_make_service()).with_graceful_shutdown(stop);
            let served = serving.await;
            stopping.cancel(); // Also if the listener failed.
            served
        };
        let (served, (), ()) = tokio::join!(
            serving,
            workers::run(&self.gateway, &self.engines.sqs, &self.telemetry, &stopping),
            send_spans(&self.telemetry, &stopping),
        );
        self.gateway.drain().await;
        self.telemetry.flush().await;
        served.map_err(LocalError::Serve)
    }
}

/// Sends what no later request sends: a body of known length is not read to its end.
async fn send_spans(telemetry: &Telemetry, stopping: &CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(SEND_EVERY)).await.is_some() {
        telemetry.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::{BodyExt as _, Full};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_that_is_refused_has_been_read() {
        let settings = Settings {
            address: ([127, 0, 0, 1], 0).into(),
            data: Data::Embedded(Place::Memory),
            models: None,
            admin_key: None,
        };
        let running = serve(&settings).await.unwrap();
        let read = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&read);
        let body = Full::new(Bytes::from_static(b"{}")).map_frame(move |frame| {
            seen.store(true, Ordering::SeqCst);
            frame
        });
        let request = Request::post("/v1/chat/completions").body(Body::new(body)).unwrap();
        let response = running.router.oneshot(request).await.unwrap();
        assert_eq!((response.status().as_u16(), read.load(Ordering::SeqCst)), (401, true));
    }
}
