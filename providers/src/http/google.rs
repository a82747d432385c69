//! Errors in the shape of Google's APIs: a status by name, and details by type.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use shared::model::provider::ProviderRefusal;

/// How long a provider is left alone whose quota for the day is used up. Google then also names a delay of seconds, after
/// which the next call fails, too.
const WAIT_FOR_DAY: Duration = Duration::from_secs(60 * 60);

/// The inner object of an error.
#[derive(Debug, Deserialize)]
pub(super) struct GoogleError {
    /// Such as `RESOURCE_EXHAUSTED`.
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Value>,
}

impl GoogleError {
    /// Reads the inner object of an error; `None` if it is not of Google's shape.
    pub(super) fn of(error: &Value) -> Option<Self> {
        error.get("code")?.as_u64()?;
        serde_json::from_value(error.clone()).ok()
    }

    /// Whether the key is wrong, or may not be used for this. A wrong key is a wrong argument to Google.
    pub(super) fn refuses_key(&self) -> bool {
        let is_wrong_key = |detail: &Value| detail["reason"] == "API_KEY_INVALID";
        matches!(self.status.as_str(), "UNAUTHENTICATED" | "PERMISSION_DENIED") || self.details.iter().any(is_wrong_key)
    }

    /// The time to wait. Google sends no header for it.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if self.details.iter().any(is_of_day) {
            return Some(WAIT_FOR_DAY);
        }
        self.details.iter().find_map(|detail| seconds(detail["retryDelay"].as_str()?))
    }

    pub(super) fn refusal(&self) -> ProviderRefusal {
        let kind = Some("invalid_request_error".to_owned());
        ProviderRefusal { message: self.message.clone(), kind, param: None, code: None }
    }
}

/// Whether a detail says that a quota for the day is used up.
fn is_of_day(detail: &Value) -> bool {
    let violations = detail["violations"].as_array().into_iter().flatten();
    violations.filter_map(|violation| violation["quotaId"].as_str()).any(|quota| quota.contains("PerDay"))
}

/// A duration as Google writes it in JSON: `45.837906927s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: &str, details: &Value) -> GoogleError {
        GoogleError::of(&json!({"code": 429, "message": "m", "status": status, "details": details})).unwrap()
    }

    #[test]
    fn the_time_to_wait_is_in_the_details() {
        let delay = |text: &str| json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text});
        let quota =
            |id: &str| json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]});
        let check = |details: Value, expected: Option<Duration>| {
            assert_eq!(error("RESOURCE_EXHAUSTED", &details).retry_after(), expected, "{details}");
        };
        let minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
        check(json!([quota(minute), delay("45.837906927s")]), Some(Duration::from_nanos(45_837_906_927)));
        check(json!([delay("8s")]), Some(Duration::from_secs(8)));
        for wrong in ["", "8", "-1s", "infs", "NaNs", "1e300s", "soon"] {
            check(json!([delay(wrong)]), None);
        }
        let day = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
        check(json!([quota(minute), quota(day), delay("8s")]), Some(WAIT_FOR_DAY));
        check(json!([{"violations": null}, 1, null]), None);
    }

    #[test]
    fn a_key_is_refused_in_several_ways() {
        let reason = |reason: &str| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]);
        assert!(error("INVALID_ARGUMENT", &reason("API_KEY_INVALID")).refuses_key());
        assert!(error("PERMISSION_DENIED", &reason("SERVICE_DISABLED")).refuses_key());
        assert!(error("UNAUTHENTICATED", &json!([])).refuses_key());
        assert!(!error("INVALID_ARGUMENT", &reason("OTHER")).refuses_key());
    }

    #[test]
    fn other_errors_are_not_googles() {
        for other in [json!({"code": "400", "status": "x"}), json!({"code": 400}), json!("x"), json!([])] {
            assert!(GoogleError::of(&other).is_none(), "{other}");
        }
    }
}
