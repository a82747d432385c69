//! weir's own fields of a project, `limits` and `policy`: their JSON, and the ranges they are checked against.

use serde::{Deserialize, Serialize};
use shared::app::admin::{LimitsChange, Patch, PolicyChange};
use shared::model::invalid::Invalid;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, MAX_CACHE_TTL_SECONDS};

/// Limits as they are shown; `null` is no limit.
#[derive(Serialize)]
pub(crate) struct LimitsObject {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    budget_usd_per_month: Option<f64>,
}

impl From<Limits> for LimitsObject {
    fn from(limits: Limits) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            budget_usd_per_month: limits.budget.map(MicroUsd::dollars),
        }
    }
}

/// Limits as they are sent: absent keeps, `null` removes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBody {
    #[serde(default)]
    requests_per_minute: Patch<u64>,
    #[serde(default)]
    tokens_per_minute: Patch<u64>,
    #[serde(default)]
    budget_usd_per_month: Patch<f64>,
}

/// A policy as it is sent: absent keeps, `null` restores the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    #[serde(default)]
    default_max_output_tokens: Patch<u64>,
    #[serde(default)]
    dedupe_retries: Patch<bool>,
    #[serde(default)]
    cache_ttl_seconds: Patch<u64>,
}

/// Reads `limits`.
pub(crate) fn limits(body: Patch<LimitsBody>) -> Result<LimitsChange, Invalid> {
    let body = match body {
        Patch::Keep => return Ok(LimitsChange::default()),
        Patch::Clear => return Ok(LimitsChange::clear()),
        Patch::Set(body) => body,
    };
    Ok(LimitsChange {
        requests_per_minute: body.requests_per_minute.try_map(|n| requests("limits.requests_per_minute", n))?,
        tokens_per_minute: body.tokens_per_minute.try_map(|n| tokens("limits.tokens_per_minute", n))?,
        budget: body.budget_usd_per_month.try_map(budget)?,
    })
}

/// Reads `policy`.
pub(crate) fn policy(body: Patch<PolicyBody>) -> Result<PolicyChange, Invalid> {
    let body = match body {
        Patch::Keep => return Ok(PolicyChange::default()),
        Patch::Clear => return Ok(PolicyChange::clear()),
        Patch::Set(body) => body,
    };
    let output = |n| within("policy.default_max_output_tokens", n, MAX_OUTPUT_TOKENS);
    Ok(PolicyChange {
        default_max_output_tokens: body.default_max_output_tokens.try_map(output)?,
        dedupe_retries: body.dedupe_retries,
        cache_ttl_seconds: body
            .cache_ttl_seconds
            .try_map(|n| within("policy.cache_ttl_seconds", n, MAX_CACHE_TTL_SECONDS))?,
    })
}

const MAX_REQUESTS_PER_MINUTE: u64 = 1_000_000_000;
const MAX_TOKENS_PER_MINUTE: u64 = 1_000_000_000_000;
const MAX_OUTPUT_TOKENS: u64 = 100_000_000;

/// Checks requests per minute.
pub(crate) fn requests(param: &str, value: u64) -> Result<u64, Invalid> {
    within(param, value, MAX_REQUESTS_PER_MINUTE)
}

/// Checks tokens per minute.
pub(crate) fn tokens(param: &str, value: u64) -> Result<u64, Invalid> {
    within(param, value, MAX_TOKENS_PER_MINUTE)
}

fn within(param: &str, value: u64, max: u64) -> Result<u64, Invalid> {
    match value {
        _ if (1..=max).contains(&value) => Ok(value),
        _ => Err(Invalid::field(param, format!("`{param}` is {value}, expected 1 to {max}, or null for none."))),
    }
}

fn budget(dollars: f64) -> Result<MicroUsd, Invalid> {
    let param = "limits.budget_usd_per_month";
    let wrong = || {
        Invalid::field(param, format!("`{param}` is {dollars}, expected 0 to 1000000000 dollars, or null for none."))
    };
    MicroUsd::from_dollars(dollars).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<LimitsChange, Invalid> {
        limits(Patch::Set(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn limits_are_checked_at_their_ends() {
        let change = read(r#"{"requests_per_minute":1,"tokens_per_minute":1000000000000,"budget_usd_per_month":0.1}"#);
        let expected = LimitsChange {
            requests_per_minute: Patch::Set(1),
            tokens_per_minute: Patch::Set(1_000_000_000_000),
            budget: Patch::Set(MicroUsd(100_000)),
        };
        assert_eq!(change, Ok(expected));
        for (name, value) in [
            ("requests_per_minute", "0"),
            ("requests_per_minute", "1000000001"),
            ("tokens_per_minute", "0"),
            ("tokens_per_minute", "1000000000001"),
            ("budget_usd_per_month", "-0.01"),
            ("budget_usd_per_month", "1e10"),
        ] {
            let error = read(&format!(r#"{{"{name}":{value}}}"#)).unwrap_err();
            assert_eq!(error.param, Some(format!("limits.{name}")), "{value}");
        }
    }

    #[test]
    fn a_policy_is_checked() {
        for body in [r#"{"cache_ttl_seconds":0}"#, r#"{"default_max_output_tokens":0}"#] {
            assert!(policy(Patch::Set(serde_json::from_str(body).unwrap())).is_err(), "{body}");
        }
    }
}
