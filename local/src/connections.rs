//! The connections of clients: each has time limits, and none keeps the server from ending.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use shared::edge::PeerAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::unread::Unread;

/// The time for the head of a request, from the end of the answer before it. So it is also the longest time that a connection
/// without a request stays open.
const HEAD: Duration = Duration::from_secs(30);
/// The longest time for which a client may take nothing of an answer.
const UNREAD: Duration = Duration::from_secs(60);
/// The time that connections have after the last call was settled.
const CLOSING: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves `router` until `stopping`. Then no connection is accepted, and those that have no request are closed. The others
/// end with their answer, or ten seconds after `settled`.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    stopping: &CancellationToken,
    settled: &CancellationToken,
) {
    let mut open = JoinSet::new();
    let mut is_short = false;
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = accept(&listeners) => accepted,
        };
        match accepted {
            Ok(client) => {
                is_short = false;
                open.spawn(connection(client, router.clone(), stopping.clone()));
            }
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    tracing::error!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listeners);
    let ended = async { while open.join_next().await.is_some() {} };
    let too_late = async {
        settled.cancelled().await;
        tokio::time::sleep(CLOSING).await;
    };
    tokio::select! {
        () = ended => return,
        () = too_late => {}
    }
    tracing::warn!(connections = open.len(), "connections closed before they ended");
    open.shutdown().await;
}

/// Waits for a client of any listener.
async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        let accepted = listeners.iter().map(|listener| listener.poll_accept(cx)).find(Poll::is_ready);
        accepted.map_or(Poll::Pending, |accepted| accepted.map_ok(|(client, _)| client))
    })
    .await
}

fn is_of_the_client(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

async fn connection(client: TcpStream, router: Router, stopping: CancellationToken) {
    // Without it, the kernel holds a small chunk of a stream back until the client has acknowledged the one before.
    if let Err(error) = client.set_nodelay(true) {
        tracing::warn!(%error, "TCP_NODELAY not set");
    }
    let peer = client.peer_addr().ok().map(|address| PeerAddress(address.ip()));
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // A client may end its own half of the connection after its request.
        .half_close(true)
        .serve_connection(TokioIo::new(Unread::new(client, UNREAD)), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    // An error is the client's: it left, was late, or did not speak HTTP. The request's own line says what became of it.
    let ended = stopping.run_until_cancelled(connection.as_mut()).await;
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
