//! Usage and costs of the organization, from the hourly counters. Every route requires the admin key.

mod query;
mod report;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::routing::get;
use axum::{Json, Router};
use shared::app::Auth;
use shared::app::usage::UsageReports;
use shared::edge::{Admin, Params, Rejection};
use shared::model::clock::Clock;
use shared::model::usage::Operation;

use query::Report;
use report::Page;

#[derive(Clone, FromRef)]
struct UsageApi {
    auth: Arc<Auth>,
    reports: Arc<UsageReports>,
    clock: Clock,
}

/// The routes of this function.
pub fn router(auth: Arc<Auth>, reports: Arc<UsageReports>, clock: Clock) -> Router {
    let usage = |operation| {
        get(async move |admin, reports, clock, params| {
            send_report(admin, reports, clock, params, Report::Usage(operation)).await
        })
    };
    let costs =
        get(async |admin, reports, clock, params| send_report(admin, reports, clock, params, Report::Costs).await);
    Router::new()
        .route("/v1/organization/usage/completions", usage(Operation::Completions))
        .route("/v1/organization/usage/embeddings", usage(Operation::Embeddings))
        .route("/v1/organization/usage/moderations", usage(Operation::Moderations))
        .route("/v1/organization/usage/images", usage(Operation::Images))
        .route("/v1/organization/usage/audio_speeches", usage(Operation::AudioSpeeches))
        .route("/v1/organization/usage/audio_transcriptions", usage(Operation::AudioTranscriptions))
        .route("/v1/organization/costs", costs)
        .with_state(UsageApi { auth, reports, clock })
}

async fn send_report(
    _: Admin,
    State(reports): State<Arc<UsageReports>>,
    State(clock): State<Clock>,
    params: Params,
    report: Report,
) -> Result<Json<Page>, Rejection> {
    let query = report.query(&params, clock.now())?;
    Ok(Json(Page::new(report, reports.report(&query).await?)))
}
