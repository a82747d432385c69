//! Webhook endpoints of a project and the deliveries to them. Every route takes a project's API key.

mod deliveries;
mod endpoints;

use axum::Router;
use axum::routing::{get, post};
use shared::edge::Deps;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    let endpoint = Router::new()
        .route("/", get(endpoints::retrieve).post(endpoints::update).delete(endpoints::delete))
        .route("/rotate_secret", post(endpoints::rotate_secret))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{delivery_id}", get(deliveries::retrieve))
        .route("/deliveries/{delivery_id}/redeliver", post(deliveries::redeliver));
    Router::new()
        .route("/v1/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .nest("/v1/webhook_endpoints/{endpoint_id}", endpoint)
        .with_state(gateway)
}
