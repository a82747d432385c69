//! The local server. One listener serves the routes of all functions, and the workers and timers run in the same
//! process.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use embedded::{Engines, Place};
use shared::app::Components;
use shared::data::Stores;
use shared::edge::telemetry::observe;
use shared::edge::{self, Telemetry};
use shared::model::key_text::ApiKeySecret;
use shared::model::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::functions::routes;
use crate::keys::Keys;
use crate::provision::provision_trial;
use crate::{Data, LocalError, Settings, stores, upkeep, workers};

/// The longest time that a span waits before it is sent.
const FLUSH_PERIOD: Duration = Duration::from_secs(2);

/// A server whose port is open. [`Running::run`] serves requests.
pub struct Running {
    /// The first has the address.
    listeners: Vec<TcpListener>,
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
    let listeners = listen(settings.address).await?;
    let (engines, stores) = stores::open(&settings.data)?;
    let folder = match &settings.data {
        Data::Embedded(Place::Folder(folder)) => Some(folder.as_path()),
        Data::Embedded(Place::Memory) | Data::Remote { .. } => None,
    };
    let check = stores.key_checks().get_or_create().await?;
    let keys = Keys::load(folder, settings.admin_key.as_ref(), &check)?;
    let components = settings.components(stores, Some(Secret::new(&keys.admin_key))).await?;
    let damaged = || LocalError::Keys { path: "keys.json".to_owned(), reason: "`project_key` is no key".to_owned() };
    let project_key = ApiKeySecret::parse(&keys.project_key).ok_or_else(damaged)?;
    provision_trial(components.stores(), components.clock(), &project_key, "Local").await?;
    Ok(Running {
        listeners,
        router: edge::stack(
            routes(&components).layer(from_fn_with_state(engines.health.clone(), upkeep::refuse_if_ill)),
            &settings.http,
        ),
        model_names: components.models().known().catalog.models().iter().map(|model| model.name.clone()).collect(),
        components,
        engines,
        project_key: project_key.secret().clone(),
        admin_key: Secret::new(keys.admin_key),
        telemetry: Telemetry::default(),
    })
}

/// Opens the port. Programs take `localhost` for 127.0.0.1 or for `[::1]`, so a port on the first is opened on the second too,
/// if the machine has it.
async fn listen(address: SocketAddr) -> Result<Vec<TcpListener>, LocalError> {
    let port = address.port();
    let wrong = |source: std::io::Error| match source.kind() {
        ErrorKind::AddrInUse => LocalError::PortInUse { port },
        _ => LocalError::Listen { port, source },
    };
    let first = TcpListener::bind(address).await.map_err(wrong)?;
    let chosen = first.local_addr().map_err(LocalError::Address)?;
    if chosen.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Ok(vec![first]);
    }
    match TcpListener::bind((Ipv6Addr::LOCALHOST, chosen.port())).await {
        Ok(second) => Ok(vec![first, second]),
        // Another program has the port there, and would get what is sent to `localhost`. A port that was not chosen is free.
        Err(error) if error.kind() == ErrorKind::AddrInUse && port != 0 => Err(wrong(error)),
        Err(_) => Ok(vec![first]),
    }
}

impl Running {
    /// The address that the server listens on.
    ///
    /// # Errors
    /// If the operating system does not return it.
    pub fn address(&self) -> Result<SocketAddr, LocalError> {
        let address = self.listeners.first().map_or(Err(ErrorKind::NotConnected.into()), TcpListener::local_addr);
        address.map_err(LocalError::Address)
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
    /// settled. Connections that have not ended ten seconds after that are closed.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, settled) = (CancellationToken::new(), CancellationToken::new());
        let router = observe(self.router, self.telemetry.clone());
        let stop = async {
            stop.await;
            stopping.cancel();
        };
        let work = async {
            workers::run(&self.components, &self.engines.sqs, &self.telemetry, &stopping).await;
            self.components.drain().await;
            settled.cancel();
        };
        tokio::join!(
            stop,
            work,
            connections::serve(self.listeners, router, &stopping, &settled),
            upkeep::run(&self.engines, &stopping),
            send_spans(&self.telemetry, &stopping),
        );
        self.components.drain().await; // A request may have come with the last connections.
        self.telemetry.flush().await;
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
