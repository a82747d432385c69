//! Webhook endpoints of a project and the deliveries to them. Every route requires an API key of the project.

mod deliveries;
mod endpoints;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use shared::app::Auth;
use shared::app::webhooks::Webhooks;

#[derive(Clone, FromRef)]
struct WebhooksApi {
    auth: Arc<Auth>,
    webhooks: Arc<Webhooks>,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, webhooks: Arc<Webhooks>) -> Router {
    let endpoint = Router::new()
        .route("/", get(endpoints::retrieve).post(endpoints::update).delete(endpoints::delete))
        .route("/rotate_secret", post(endpoints::rotate_secret))
        .route("/test", post(endpoints::test))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{delivery_id}", get(deliveries::retrieve))
        .route("/deliveries/{delivery_id}/redeliver", post(deliveries::redeliver));
    Router::new()
        .route("/v1/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .route("/v1/webhook_event_types", get(endpoints::list_event_types))
        .nest("/v1/webhook_endpoints/{endpoint_id}", endpoint)
        .with_state(WebhooksApi { auth, webhooks })
}
