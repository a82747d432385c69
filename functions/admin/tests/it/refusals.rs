//! Requests that every route refuses: keys that are not the admin key, ids that do not exist, bodies that cannot be read.

use kit::ADMIN_KEY;
use serde_json::Value;

use crate::api::{AdminApi, PROJECTS};

/// Every route below a project, with a body that it takes.
const BELOW_PROJECT: [(&str, &str, &str); 17] = [
    ("GET", "", ""),
    ("POST", "", "{}"),
    ("POST", "/archive", ""),
    ("GET", "/service_accounts", ""),
    ("POST", "/service_accounts", r#"{"name":"App"}"#),
    ("GET", "/service_accounts/svc_acct_1", ""),
    ("DELETE", "/service_accounts/svc_acct_1", ""),
    ("GET", "/api_keys", ""),
    ("GET", "/api_keys/key_1", ""),
    ("DELETE", "/api_keys/key_1", ""),
    ("GET", "/spend_limit", ""),
    ("POST", "/spend_limit", r#"{"threshold_amount":1}"#),
    ("DELETE", "/spend_limit", ""),
    ("GET", "/storage", ""),
    ("GET", "/rate_limits", ""),
    ("POST", "/rate_limits/rl_all", "{}"),
    ("POST", "/rate_limits/rl_other", "{}"),
];

/// Sends a request; its error must have all four keys. Compares status, code and param.
async fn check(
    api: &AdminApi,
    key: Option<&str>,
    request: (&str, &str, &str),
    expected: (u16, Option<&str>, Option<&str>),
) {
    let (method, path, body) = request;
    let (status, answer) = api.send(key, method, path, body).await;
    let error = answer["error"].as_object().unwrap_or_else(|| panic!("{method} {path} {body}: {status} {answer}"));
    assert_eq!(error.len(), 4, "{answer}");
    let found = (status, error["code"].as_str(), error["param"].as_str());
    assert_eq!(found, expected, "{method} {path} {body}: {answer}");
}

#[tokio::test]
async fn only_the_admin_key_opens_a_route() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let issued = api.admin("POST", &format!("{project}/service_accounts"), r#"{"name":"App"}"#).await;
    let project_key = issued["api_key"]["value"].as_str().unwrap();
    let below = BELOW_PROJECT.map(|(method, path, body)| (method, format!("{project}{path}"), body));
    let all = [("GET", PROJECTS.to_owned(), ""), ("POST", PROJECTS.to_owned(), r#"{"name":"Team"}"#)]
        .into_iter()
        .chain(below);
    for (method, path, body) in all {
        for key in [None, Some("sk-weir-admin-wrong"), Some(project_key)] {
            check(&api, key, (method, &path, body), (401, Some("invalid_api_key"), None)).await;
            // The key is asked for before the body is read.
            check(&api, key, (method, &path, "{"), (401, Some("invalid_api_key"), None)).await;
        }
    }
}

#[tokio::test]
async fn unknown_ids_are_not_found() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    for unknown in ["proj_1", &"p".repeat(3_000)] {
        for (method, path, body) in BELOW_PROJECT {
            let path = format!("{PROJECTS}/{unknown}{path}");
            check(&api, Some(ADMIN_KEY), (method, &path, body), (404, Some("not_found"), None)).await;
        }
    }
    for below in ["service_accounts", "api_keys"] {
        for unknown in ["x", &"x".repeat(3_000)] {
            for method in ["GET", "DELETE"] {
                let path = format!("{project}/{below}/{unknown}");
                check(&api, Some(ADMIN_KEY), (method, &path, ""), (404, Some("not_found"), None)).await;
            }
        }
    }
    check(
        &api,
        Some(ADMIN_KEY),
        ("POST", &format!("{project}/rate_limits/rl_other"), "{}"),
        (404, Some("not_found"), None),
    )
    .await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let taking = [
        PROJECTS.to_owned(),
        project.clone(),
        format!("{project}/service_accounts"),
        format!("{project}/spend_limit"),
        format!("{project}/rate_limits/rl_all"),
    ];
    for path in &taking {
        for body in ["", "{", "[]x", "7", r#"{"name":"a","threshold_amount":1} x"#] {
            check(&api, Some(ADMIN_KEY), ("POST", path, body), (400, None, None)).await;
        }
    }
}

#[tokio::test]
async fn fields_that_are_wrong_are_named() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    let (accounts, spend, rate) = (
        format!("{project}/service_accounts"),
        format!("{project}/spend_limit"),
        format!("{project}/rate_limits/rl_all"),
    );
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(201));
    let types = [
        (PROJECTS, r#"{"name":7}"#, "name"),
        (&project, r#"{"limits":7}"#, "limits"),
        (&project, r#"{"limits":{"requests_per_minute":-1}}"#, "limits.requests_per_minute"),
        (&project, r#"{"limits":{"tokens_per_minute":1.5}}"#, "limits.tokens_per_minute"),
        (&project, r#"{"limits":{"budget_usd_per_month":"10"}}"#, "limits.budget_usd_per_month"),
        (&project, r#"{"policy":{"dedupe_retries":1}}"#, "policy.dedupe_retries"),
        (&spend, r#"{"threshold_amount":-5}"#, "threshold_amount"),
    ];
    let values = [
        (PROJECTS, r#"{"name":" "}"#, "name"),
        (PROJECTS, &long, "name"),
        (&project, r#"{"name":""}"#, "name"),
        (&accounts, r#"{"name":""}"#, "name"),
        (&accounts, r#"{"name":"a","create_service_account_only":true}"#, "create_service_account_only"),
        (&project, r#"{"limits":{"requests_per_minute":0}}"#, "limits.requests_per_minute"),
        (&project, r#"{"limits":{"budget_usd_per_month":-1}}"#, "limits.budget_usd_per_month"),
        (&project, r#"{"policy":{"cache_ttl_seconds":99999999999}}"#, "policy.cache_ttl_seconds"),
        (&project, r#"{"policy":{"retention":31}}"#, "policy.retention"),
        (PROJECTS, r#"{"name":"a","limits":{"tokens_per_minute":0}}"#, "limits.tokens_per_minute"),
        (&spend, r#"{"threshold_amount":0}"#, "threshold_amount"),
        (&spend, r#"{"threshold_amount":1,"currency":"EUR"}"#, "currency"),
        (&spend, r#"{"threshold_amount":1,"interval":"day"}"#, "interval"),
        (&rate, r#"{"max_requests_per_1_minute":0}"#, "max_requests_per_1_minute"),
        (PROJECTS, r#"{"name":"a","residency":"eu"}"#, "residency"),
        (&project, r#"{"external_key_id":"key"}"#, "external_key_id"),
        (&accounts, r#"{"name":"a","expires_in_seconds":0}"#, "expires_in_seconds"),
        (&accounts, r#"{"name":"a","expires_in_seconds":9,"expires_at":99999999999}"#, "expires_in_seconds"),
        (&rate, r#"{"max_requests_per_1_day":5}"#, "max_requests_per_1_day"),
    ];
    let (permissions, key) = (format!("{project}/model_permissions"), format!("{project}/api_keys/key_1"));
    let unknown = [
        (PROJECTS, r#"{"nam":"typo"}"#, "nam"),
        (PROJECTS, r#"{"name":"a","geography":"eu"}"#, "geography"),
        (&project, r#"{"nam":"typo"}"#, "nam"),
        (&project, r#"{"limits":{"rpm":1}}"#, "limits.rpm"),
        (&project, r#"{"policy":{"cache":1}}"#, "policy.cache"),
        (&project, r#"{"policy":{"models":{"mod":"allow_list"}}}"#, "policy.models.mod"),
        (&accounts, r#"{"name":"a","expires":5}"#, "expires"),
        (&key, r#"{"limit":{}}"#, "limit"),
        (&spend, r#"{"threshold_amount":1,"currenzy":"USD"}"#, "currenzy"),
        (&rate, r#"{"max_request_per_1_minute":5}"#, "max_request_per_1_minute"),
        (&permissions, r#"{"mode":"allow_list","models":[]}"#, "models"),
        ("/v1/organization/admin_api_keys", r#"{"name":"a","scopes":"read"}"#, "scopes"),
        ("/v1/organization/dead_letters/replay", r#"{"queue":"jobs","id":["a"]}"#, "id"),
    ];
    let before = api.admin("GET", &project, "").await;
    for (path, body, param) in unknown {
        check(&api, Some(ADMIN_KEY), ("POST", path, body), (400, Some("unknown_parameter"), Some(param))).await;
    }
    for (path, body, param) in types {
        check(&api, Some(ADMIN_KEY), ("POST", path, body), (400, Some("invalid_type"), Some(param))).await;
    }
    for (path, body, param) in values {
        check(&api, Some(ADMIN_KEY), ("POST", path, body), (400, Some("invalid_value"), Some(param))).await;
    }
    assert_eq!(api.admin("GET", &project, "").await, before);
    let keys = format!("{project}/api_keys?owner_project_access=some");
    check(&api, Some(ADMIN_KEY), ("GET", &keys, ""), (400, Some("invalid_value"), Some("owner_project_access"))).await;
    for (query, param) in
        [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("include_archived=1", "include_archived")]
    {
        check(
            &api,
            Some(ADMIN_KEY),
            ("GET", &format!("{PROJECTS}?{query}"), ""),
            (400, Some("invalid_value"), Some(param)),
        )
        .await;
    }
}

#[tokio::test]
async fn a_wrong_method_is_said_so() {
    let api = AdminApi::new().await;
    let project = api.project().await;
    check(&api, Some(ADMIN_KEY), ("DELETE", &project, ""), (405, Some("method_not_allowed"), None)).await;
    let (status, answer) = api.send(Some(ADMIN_KEY), "GET", &format!("{project}/users"), "").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &Value::from("unknown_url")));
}
