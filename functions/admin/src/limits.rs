//! OpenAI's spend limit and rate limits of a project. They are another view of the project's `limits`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::app::projects::Projects;
use shared::app::{Error, Page};
use shared::edge::{Admin, Input, List, Path, Rejection};
use shared::model::invalid::Invalid;
use shared::model::money::MicroUsd;
use shared::model::patch::Patch;
use shared::model::project::Limits;
use shared::model::project_patch::{LimitsPatch, ProjectPatch};

use crate::wire;

#[derive(Serialize)]
pub(crate) struct SpendLimit {
    object: &'static str,
    /// In cents, rounded down. `limits.budget_usd_per_month` is exact.
    threshold_amount: u64,
    currency: &'static str,
    interval: &'static str,
    enforcement: Enforcement,
}

#[derive(Serialize)]
struct Enforcement {
    status: &'static str,
}

const MICRO_PER_CENT: u64 = 10_000;

impl SpendLimit {
    fn of(budget: MicroUsd) -> Self {
        Self {
            object: "project.spend_limit",
            threshold_amount: budget.0 / MICRO_PER_CENT,
            currency: "USD",
            interval: "month",
            enforcement: Enforcement { status: "enforcing" },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendLimitBody {
    threshold_amount: u64,
    currency: Option<String>,
    interval: Option<String>,
}

/// The maximum of `limits.budget_usd_per_month`, in cents.
const MAX_CENTS: u64 = 100_000_000_000;

impl SpendLimitBody {
    fn budget(&self) -> Result<MicroUsd, Invalid> {
        require("currency", self.currency.as_deref(), "USD")?;
        require("interval", self.interval.as_deref(), "month")?;
        match self.threshold_amount {
            cents @ 1..=MAX_CENTS => Ok(MicroUsd(cents * MICRO_PER_CENT)),
            other => Err(Invalid::field(
                "threshold_amount",
                format!("`threshold_amount` is {other}, expected 1 to {MAX_CENTS} cents."),
            )),
        }
    }
}

fn require(param: &str, value: Option<&str>, expected: &str) -> Result<(), Invalid> {
    match value {
        Some(other) if other != expected => {
            Err(Invalid::field(param, format!("`{param}` is `{other}`, expected `{expected}`.")))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
pub(crate) struct SpendLimitDeleted {
    object: &'static str,
    deleted: bool,
}

pub(crate) async fn spend_limit(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
) -> Result<Json<SpendLimit>, Rejection> {
    let project = projects.get(&project_id).await?;
    let budget = project.limits.budget.ok_or(Error::NotFound { kind: "project spend limit", id: project_id })?;
    Ok(Json(SpendLimit::of(budget)))
}

pub(crate) async fn set_spend_limit(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
    Input(body): Input<SpendLimitBody>,
) -> Result<Json<SpendLimit>, Rejection> {
    let budget = body.budget()?;
    let patch = limits_patch(LimitsPatch { budget: Patch::Set(budget), ..LimitsPatch::default() });
    projects.update(&project_id, &patch, admin.actor()).await?;
    Ok(Json(SpendLimit::of(budget)))
}

pub(crate) async fn delete_spend_limit(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
) -> Result<Json<SpendLimitDeleted>, Rejection> {
    let patch = limits_patch(LimitsPatch { budget: Patch::Clear, ..LimitsPatch::default() });
    projects.update(&project_id, &patch, admin.actor()).await?;
    Ok(Json(SpendLimitDeleted { object: "project.spend_limit.deleted", deleted: true }))
}

fn limits_patch(limits: LimitsPatch) -> ProjectPatch {
    ProjectPatch { limits, ..ProjectPatch::default() }
}

/// The id of a project's only rate limit, which holds for all models together.
const RATE_LIMIT: &str = "rl_all";

/// A project without a limit shows the largest one that it could have: OpenAI's type has no `null`.
#[derive(Serialize)]
pub(crate) struct RateLimit {
    object: &'static str,
    id: &'static str,
    model: &'static str,
    max_requests_per_1_minute: u64,
    max_tokens_per_1_minute: u64,
}

impl From<Limits> for RateLimit {
    fn from(limits: Limits) -> Self {
        Self {
            object: "project.rate_limit",
            id: RATE_LIMIT,
            model: "*",
            max_requests_per_1_minute: limits.requests_per_minute.unwrap_or(wire::MAX_REQUESTS_PER_MINUTE),
            max_tokens_per_1_minute: limits.tokens_per_minute.unwrap_or(wire::MAX_TOKENS_PER_MINUTE),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitBody {
    #[serde(default)]
    max_requests_per_1_minute: Patch<u64>,
    #[serde(default)]
    max_tokens_per_1_minute: Patch<u64>,
    max_images_per_1_minute: Option<Value>,
    max_audio_megabytes_per_1_minute: Option<Value>,
    max_requests_per_1_day: Option<Value>,
    batch_1_day_max_input_tokens: Option<Value>,
}

impl RateLimitBody {
    fn patch(self) -> Result<LimitsPatch, Invalid> {
        let unknown = [
            ("max_images_per_1_minute", self.max_images_per_1_minute),
            ("max_audio_megabytes_per_1_minute", self.max_audio_megabytes_per_1_minute),
            ("max_requests_per_1_day", self.max_requests_per_1_day),
            ("batch_1_day_max_input_tokens", self.batch_1_day_max_input_tokens),
        ];
        // An error, because a client that sets a limit relies on it.
        if let Some((name, _)) = unknown.into_iter().find(|(_, value)| value.is_some()) {
            return Err(Invalid::field(
                name,
                format!("weir limits requests and tokens per minute; it has no `{name}`."),
            ));
        }
        Ok(LimitsPatch {
            requests_per_minute: self
                .max_requests_per_1_minute
                .try_map(|n| wire::check_requests("max_requests_per_1_minute", n))?,
            tokens_per_minute: self
                .max_tokens_per_1_minute
                .try_map(|n| wire::check_tokens("max_tokens_per_1_minute", n))?,
            ..LimitsPatch::default()
        })
    }
}

pub(crate) async fn rate_limits(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
) -> Result<Json<List<RateLimit>>, Rejection> {
    let limits = projects.get(&project_id).await?.limits;
    let page = Page { items: vec![RateLimit::from(limits)], has_more: false };
    Ok(Json(List::of(page, |limit| limit.id, |limit| limit)))
}

pub(crate) async fn set_rate_limit(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path((project_id, id)): Path<(String, String)>,
    Input(body): Input<RateLimitBody>,
) -> Result<Json<RateLimit>, Rejection> {
    if id != RATE_LIMIT {
        return Err(Error::NotFound { kind: "rate limit", id }.into());
    }
    let project = projects.update(&project_id, &limits_patch(body.patch()?), admin.actor()).await?;
    Ok(Json(project.limits.into()))
}
