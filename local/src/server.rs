//! The local server. One listener serves the routes of all functions, and the workers and timers run in the same
//! process.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use embedded::{Engines, Place};
use shared::app::Components;
use shared::data::Stores;
use shared::edge::telemetry::observe;
use shared::edge::{self, Telemetry};
use shared::model::project::ApiKeySecret;
use shared::model::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::functions::routes;
use crate::keys::Keys;
use crate::provision::provision_trial;
use crate::{Data, LocalError, Settings, stores, workers};

/// The longest time that a span waits before it is sent.
const FLUSH_PERIOD: Duration = Duration::from_secs(2);

/// A server whose port is open. [`Running::run`] serves requests.
pub struct Running {
    listener: TcpListener,
    router: Router,
    components: Components,
    engines: Engines,
    /// The key of a project for trials.
    pub project_key: Secret,
    pub admin_key: Secret,
    pub model_names: Vec<String>,
    telemetry: Telemetry,
}

/// Opens the stores and the port. [`Running::run`] then serves requests.
///
/// # Errors
/// If the port is in use, the models file is invalid, or the data folder is locked, among others; see [`LocalError`].
pub async fn serve(settings: &Settings) -> Result<Running, LocalError> {
    let listener = listen(settings.address).await?;
    let (engines, stores) = stores::open(&settings.data).await?;
    let folder = match &settings.data {
        Data::Embedded(Place::Folder(folder)) => Some(folder.as_path()),
        Data::Embedded(Place::Memory) | Data::RemoteTable(_) => None,
    };
    let keys = Keys::load(folder, settings.admin_key.as_ref())?;
    let components = settings.components(stores, Some(Secret::new(&keys.admin_key))).await?;
    let damaged = || LocalError::Keys { path: "keys.json".to_owned(), reason: "`project_key` is no key".to_owned() };
    let project_key = ApiKeySecret::parse(&keys.project_key).ok_or_else(damaged)?;
    provision_trial(components.stores(), components.clock(), &project_key, "Local").await?;
    Ok(Running {
        listener,
        router: edge::stack(routes(&components), &settings.http),
        model_names: components.models().known().catalog.models().iter().map(|model| model.name.clone()).collect(),
        components,
        engines,
        project_key: project_key.secret().clone(),
        admin_key: Secret::new(keys.admin_key),
        telemetry: Telemetry::default(),
    })
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
    /// If the operating system does not return it.
    pub fn address(&self) -> Result<SocketAddr, LocalError> {
        self.listener.local_addr().map_err(LocalError::Serve)
    }

    /// The same server, with this telemetry.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// The stores of the server.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        self.components.stores()
    }

    /// Serves requests and runs workers until `stop` resolves, and then until each call and job that has begun is
    /// settled.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), LocalError> {
        let listener = self.listener.tap_io(|connection| {
            // Without it, the kernel holds a small chunk of a stream back until the client has acknowledged the one
            // before.
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
            let router = observe(self.router, self.telemetry.clone());
            let serving = axum::serve(listener, router.into_make_service()).with_graceful_shutdown(stop);
            let served = serving.await;
            stopping.cancel(); // If the listener failed, `stop` has not cancelled it.
            served
        };
        let (served, (), ()) = tokio::join!(
            serving,
            workers::run(&self.components, &self.engines.sqs, &self.telemetry, &stopping),
            send_spans(&self.telemetry, &stopping),
        );
        self.components.drain().await;
        self.telemetry.flush().await;
        served.map_err(LocalError::Serve)
    }
}

/// Sends spans regularly. The end of a request does not always send its spans, because hyper does not poll a body of
/// known length to its end.
async fn send_spans(telemetry: &Telemetry, stopping: &CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(FLUSH_PERIOD)).await.is_some() {
        telemetry.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, Bytes};
    use axum::extract::Request;
    use http_body_util::{BodyExt as _, Full};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_body_of_a_refused_request_is_read() {
        let running = serve(&Settings::default()).await.unwrap();
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
