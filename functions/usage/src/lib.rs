//! The `usage` routes.

use axum::Router;
use shared::edge::Deps;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    Router::new().with_state(gateway)
}
