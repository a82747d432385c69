//! The JSON of a project's `limits` and `policy` in requests, which OpenAI's projects do not have, and the ranges of their
//! values.

use serde::Deserialize;
use serde_json::Value;
use shared::model::invalid::Invalid;
use shared::model::money::MicroUsd;
use shared::model::patch::Patch;
use shared::model::project::MAX_CACHE_TTL_SECONDS;
use shared::model::project_patch::{LimitsPatch, PolicyPatch};
use shared::model::retention::Retention;

use crate::model_permissions::PermissionsBody;

/// The limits in a request: an absent field keeps a limit, `null` removes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBody {
    #[serde(default)]
    requests_per_minute: Patch<u64>,
    #[serde(default)]
    tokens_per_minute: Patch<u64>,
    #[serde(default)]
    concurrent_requests: Patch<u64>,
    #[serde(default)]
    budget_usd_per_month: Patch<f64>,
}

/// The policy in a request: an absent field keeps a value, `null` restores the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    #[serde(default)]
    default_max_output_tokens: Patch<u64>,
    #[serde(default)]
    dedupe_retries: Patch<bool>,
    #[serde(default)]
    cache_ttl_seconds: Patch<u64>,
    #[serde(default)]
    run_header: Patch<String>,
    #[serde(default)]
    run_budget_usd: Patch<f64>,
    #[serde(default)]
    run_lifetime_seconds: Patch<u64>,
    #[serde(default)]
    concurrent_jobs: Patch<u64>,
    #[serde(default)]
    max_stored_bytes: Patch<u64>,
    #[serde(default)]
    max_stored_objects: Patch<u64>,
    #[serde(default)]
    models: Patch<PermissionsBody>,
    #[serde(default)]
    retention: Patch<Value>,
}

/// Checks `limits`.
///
/// # Errors
/// `Invalid` if a limit is out of its range.
pub(crate) fn parse_limits(body: Patch<LimitsBody>) -> Result<LimitsPatch, Invalid> {
    let body = match body {
        Patch::Keep => return Ok(LimitsPatch::default()),
        Patch::Clear => return Ok(LimitsPatch::clear()),
        Patch::Set(body) => body,
    };
    Ok(LimitsPatch {
        requests_per_minute: body.requests_per_minute.try_map(|n| check_requests("limits.requests_per_minute", n))?,
        tokens_per_minute: body.tokens_per_minute.try_map(|n| check_tokens("limits.tokens_per_minute", n))?,
        concurrent_requests: body
            .concurrent_requests
            .try_map(|n| require_within("limits.concurrent_requests", n, MAX_CONCURRENT_REQUESTS))?,
        budget: body.budget_usd_per_month.try_map(|dollars| parse_dollars("limits.budget_usd_per_month", dollars))?,
    })
}

/// Checks `policy`.
///
/// # Errors
/// `Invalid` if a value is out of its range.
pub(crate) fn parse_policy(body: Patch<PolicyBody>) -> Result<PolicyPatch, Invalid> {
    let body = match body {
        Patch::Keep => return Ok(PolicyPatch::default()),
        Patch::Clear => return Ok(PolicyPatch::clear()),
        Patch::Set(body) => body,
    };
    let check_output = |n| require_within("policy.default_max_output_tokens", n, MAX_OUTPUT_TOKENS);
    Ok(PolicyPatch {
        default_max_output_tokens: body.default_max_output_tokens.try_map(check_output)?,
        dedupe_retries: body.dedupe_retries,
        cache_ttl_seconds: body
            .cache_ttl_seconds
            .try_map(|n| require_within("policy.cache_ttl_seconds", n, MAX_CACHE_TTL_SECONDS))?,
        run_header: body.run_header.try_map(parse_header)?,
        run_budget_usd: body.run_budget_usd.try_map(|dollars| parse_dollars("policy.run_budget_usd", dollars))?,
        run_lifetime_seconds: body
            .run_lifetime_seconds
            .try_map(|n| require_within("policy.run_lifetime_seconds", n, MAX_RUN_LIFETIME_SECONDS))?,
        concurrent_jobs: body
            .concurrent_jobs
            .try_map(|n| require_within("policy.concurrent_jobs", n, MAX_CONCURRENT_JOBS))?,
        max_stored_bytes: body
            .max_stored_bytes
            .try_map(|n| require_within("policy.max_stored_bytes", n, MAX_STORED_BYTES))?,
        max_stored_objects: body
            .max_stored_objects
            .try_map(|n| require_within("policy.max_stored_objects", n, MAX_STORED_OBJECTS))?,
        models: body.models.try_map(|permissions| permissions.parse("policy.models.model_ids"))?,
        retention: body.retention.try_map(parse_retention)?,
    })
}

/// The largest limits that a project can have.
pub(crate) const MAX_REQUESTS_PER_MINUTE: u64 = 1_000_000_000;
pub(crate) const MAX_TOKENS_PER_MINUTE: u64 = 1_000_000_000_000;
const MAX_CONCURRENT_REQUESTS: u64 = 50_000;
const MAX_OUTPUT_TOKENS: u64 = 100_000_000;
/// An item of the table has room for this many slots.
const MAX_CONCURRENT_JOBS: u64 = 2_000;
/// A pebibyte.
const MAX_STORED_BYTES: u64 = 1 << 50;
const MAX_STORED_OBJECTS: u64 = 1_000_000_000_000;
/// A year.
const MAX_RUN_LIFETIME_SECONDS: u64 = 366 * 86_400;

/// Checks a number of requests per minute. `param` names the field in the error.
pub(crate) fn check_requests(param: &str, value: u64) -> Result<u64, Invalid> {
    require_within(param, value, MAX_REQUESTS_PER_MINUTE)
}

/// Checks a number of tokens per minute. `param` names the field in the error.
pub(crate) fn check_tokens(param: &str, value: u64) -> Result<u64, Invalid> {
    require_within(param, value, MAX_TOKENS_PER_MINUTE)
}

fn require_within(param: &str, value: u64, max: u64) -> Result<u64, Invalid> {
    match value {
        _ if (1..=max).contains(&value) => Ok(value),
        _ => Err(Invalid::field(param, format!("`{param}` is {value}, expected 1 to {max}, or null for the default."))),
    }
}

/// Checks the name of a header that requests may have.
fn parse_header(name: String) -> Result<String, Invalid> {
    let param = "policy.run_header";
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        true => Ok(name),
        false => Err(Invalid::field(param, format!("`{param}` has 1 to 64 small letters, digits and `-`."))),
    }
}

fn parse_retention(value: Value) -> Result<Retention, Invalid> {
    let param = "policy.retention";
    let wrong = |reason| Invalid::field(param, format!("`{param}` is {reason}, or null for the default."));
    Retention::try_from(value).map_err(wrong)
}

fn parse_dollars(param: &str, dollars: f64) -> Result<MicroUsd, Invalid> {
    let wrong = || {
        Invalid::field(param, format!("`{param}` is {dollars}, expected 0 to 1000000000 dollars, or null for none."))
    };
    MicroUsd::from_dollars(dollars).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<LimitsPatch, Invalid> {
        parse_limits(Patch::Set(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn refuses_limits_outside_of_their_ranges() {
        let patch = read(
            r#"{"requests_per_minute":1,"tokens_per_minute":1000000000000,"concurrent_requests":50000,"budget_usd_per_month":0.1}"#,
        );
        let expected = LimitsPatch {
            requests_per_minute: Patch::Set(1),
            tokens_per_minute: Patch::Set(1_000_000_000_000),
            concurrent_requests: Patch::Set(50_000),
            budget: Patch::Set(MicroUsd(100_000)),
        };
        assert_eq!(patch, Ok(expected));
        for (name, value) in [
            ("requests_per_minute", "0"),
            ("requests_per_minute", "1000000001"),
            ("tokens_per_minute", "0"),
            ("tokens_per_minute", "1000000000001"),
            ("concurrent_requests", "0"),
            ("concurrent_requests", "50001"),
            ("budget_usd_per_month", "-0.01"),
            ("budget_usd_per_month", "1e10"),
        ] {
            let error = read(&format!(r#"{{"{name}":{value}}}"#)).unwrap_err();
            assert_eq!(error.param, Some(format!("limits.{name}")), "{value}");
        }
    }

    #[test]
    fn refuses_a_policy_outside_of_its_ranges() {
        for body in [
            r#"{"cache_ttl_seconds":0}"#,
            r#"{"default_max_output_tokens":0}"#,
            r#"{"run_header":"X Session"}"#,
            r#"{"run_budget_usd":-1.0}"#,
            r#"{"run_lifetime_seconds":0}"#,
            r#"{"concurrent_jobs":0}"#,
            r#"{"concurrent_jobs":2001}"#,
            r#"{"retention":0}"#,
            r#"{"retention":31}"#,
            r#"{"retention":"never"}"#,
        ] {
            assert!(parse_policy(Patch::Set(serde_json::from_str(body).unwrap())).is_err(), "{body}");
        }
    }
}
