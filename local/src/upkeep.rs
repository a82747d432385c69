//! The part of AWS around the stores: it deletes what has expired, and says if a store does not serve.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use embedded::{Engines, Expired, Expiry, FolderHealth};
use shared::app::{Error, ErrorChain};
use shared::edge::Rejection;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often what has expired is deleted. AWS takes up to two days.
const EXPIRY_PERIOD: Duration = Duration::from_secs(3_600);
/// How often the data folder is looked for.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// Keeps the stores until `stopping`.
pub(crate) async fn run(engines: &Engines, stopping: &CancellationToken) {
    let kept = async { tokio::join!(expire(&engines.expiry), watch(engines.health.as_ref())) };
    stopping.run_until_cancelled(kept).await;
}

async fn expire(expiry: &Expiry) {
    let mut hours = interval(EXPIRY_PERIOD);
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hours.tick().await;
        let expiry = expiry.clone();
        match tokio::task::spawn_blocking(move || expiry.run()).await {
            Ok(Ok(expired)) if expired == Expired::default() => {}
            Ok(Ok(Expired { items, bodies })) => tracing::info!(items, bodies, "expired data deleted"),
            Ok(Err(error)) => tracing::error!(error = %ErrorChain(&error), "expired data not deleted"),
            Err(error) => tracing::error!(%error, "expired data not deleted"),
        }
    }
}

/// Says once that the data folder is gone.
async fn watch(health: Option<&FolderHealth>) {
    let Some(health) = health else { return };
    let mut looks = interval(LOOK_PERIOD);
    loop {
        looks.tick().await;
        if let Err(ill) = health.check_place() {
            return tracing::error!(error = %ErrorChain(&ill), "the stores are lost");
        }
    }
}

/// Answers `/healthz` with 503 if the data folder does not take writes.
pub(crate) async fn refuse_if_ill(
    State(health): State<Option<FolderHealth>>,
    request: Request,
    next: Next,
) -> Response {
    let is_asked = request.uri().path() == "/healthz";
    match health.filter(|_| is_asked).map(|health| health.check()) {
        Some(Err(ill)) => {
            let error = Error::Unavailable { action: "use the data folder", source: ill.into() };
            Rejection::from(error).into_response()
        }
        Some(Ok(())) | None => next.run(request).await,
    }
}
