//! Usage and costs of the organization, from the hourly counters. Every route takes the admin key.

mod query;
mod report;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use shared::data::Operation;
use shared::edge::{Admin, Deps, Params, Rejection};

use query::Report;
use report::Page;

/// The routes of this function.
pub fn router(gateway: Deps) -> Router {
    let usage =
        |operation| get(async move |admin, state, params| report(admin, state, params, Report::Usage(operation)).await);
    Router::new()
        .route("/v1/organization/usage/completions", usage(Operation::Completions))
        .route("/v1/organization/usage/embeddings", usage(Operation::Embeddings))
        .route("/v1/organization/usage/moderations", usage(Operation::Moderations))
        .route(
            "/v1/organization/costs",
            get(async |admin, state, params| report(admin, state, params, Report::Costs).await),
        )
        .with_state(gateway)
}

async fn report(
    _: Admin,
    State(gateway): State<Deps>,
    params: Params,
    report: Report,
) -> Result<Json<Page>, Rejection> {
    let query = report.query(&params, gateway.clock().now())?;
    Ok(Json(Page::new(report, gateway.usage(&query).await?)))
}
