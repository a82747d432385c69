//! Projects: create, read, change, archive, list; changes at the same time.

use kit::ADMIN_KEY;
use serde_json::{Value, json};

use crate::api::{AdminApi, NOW, PROJECTS, plain};

fn expected(name: &str, limits: &Value, policy: &Value) -> Value {
    json!({
        "id": "proj_*", "object": "organization.project", "name": name, "created_at": NOW, "archived_at": null,
        "status": "active", "purge": null, "external_key_id": null, "limits": limits, "policy": policy,
    })
}

fn no_limits() -> Value {
    json!({"requests_per_minute": null, "tokens_per_minute": null, "concurrent_requests": null, "budget_usd_per_month": null})
}

fn no_policy() -> Value {
    policy(&json!({}))
}

/// A policy as an answer shows it: with defaults for all members that `set` does not name.
fn policy(set: &Value) -> Value {
    let mut policy = json!({
        "default_max_output_tokens": null, "dedupe_retries": false, "cache_ttl_seconds": null,
        "run_header": null, "run_budget_usd": null, "run_lifetime_seconds": null, "concurrent_jobs": null, "max_stored_bytes": null, "max_stored_objects": null, "models": null,
        "retention": null,
    });
    policy.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
    policy
}

/// Creates a project with `create`, changes it with `update`, and compares both answers and the stored project.
async fn check(create: &Value, created: &Value, update: &Value, updated: &Value) {
    let api = AdminApi::new().await;
    let answer = api.admin("POST", PROJECTS, &create.to_string()).await;
    assert_eq!(plain(answer.clone()), created.to_string());
    let path = format!("{PROJECTS}/{}", answer["id"].as_str().unwrap());
    assert_eq!(plain(api.admin("POST", &path, &update.to_string()).await), updated.to_string());
    assert_eq!(plain(api.admin("GET", &path, "").await), updated.to_string());
}

#[tokio::test]
async fn a_project_needs_a_name_and_nothing_else() {
    let bare = |name| expected(name, &no_limits(), &no_policy());
    check(&json!({"name": " Team "}), &bare("Team"), &json!({"name": "Crew", "external_key_id": null}), &bare("Crew"))
        .await;
    check(&json!({"name": "Team", "limits": null}), &bare("Team"), &json!({"name": null}), &bare("Team")).await;
}

#[tokio::test]
async fn an_update_merges() {
    let limits = json!({
        "requests_per_minute": 60, "tokens_per_minute": 90000, "concurrent_requests": 40, "budget_usd_per_month": 12.5,
    });
    let set = json!({
        "default_max_output_tokens": 512, "dedupe_retries": true, "cache_ttl_seconds": 60,
        "run_header": "x-session", "run_budget_usd": 1.5, "run_lifetime_seconds": 60, "concurrent_jobs": 7, "max_stored_bytes": 8, "max_stored_objects": 9, "retention": "none",
        "models": {"mode": "deny_list", "model_ids": ["gpt-4*"]},
    });
    let kept = json!({
        "default_max_output_tokens": 512, "cache_ttl_seconds": 60,
        "run_header": "x-session", "run_budget_usd": 1.5, "run_lifetime_seconds": 60, "concurrent_jobs": 7, "max_stored_bytes": 8, "max_stored_objects": 9, "retention": "none",
        "models": {"mode": "deny_list", "model_ids": ["gpt-4*"]},
    });
    check(
        &json!({"name": "Team", "limits": limits, "policy": set}),
        &expected("Team", &limits, &policy(&set)),
        &json!({"limits": {"requests_per_minute": null, "budget_usd_per_month": 0.000001}, "policy": {"dedupe_retries": null}}),
        &expected(
            "Team",
            &json!({
                "requests_per_minute": null, "tokens_per_minute": 90000, "concurrent_requests": 40,
                "budget_usd_per_month": 0.000001,
            }),
            &policy(&kept),
        ),
    )
    .await;
    let cleared = expected("Team", &no_limits(), &no_policy());
    check(
        &json!({"name": "Team", "limits": limits, "policy": set}),
        &expected("Team", &limits, &policy(&set)),
        &json!({"limits": null, "policy": null}),
        &cleared,
    )
    .await;
}

#[tokio::test]
async fn an_archived_project_is_read_only_by_name() {
    let api = AdminApi::new().await;
    let path = api.project().await;
    let key = api.admin("POST", &format!("{path}/service_accounts"), r#"{"name":"App"}"#).await;
    let key = key["api_key"]["value"].as_str().unwrap();
    assert!(api.accepts(key).await);
    api.app.clock.advance_ms(5_000);
    let archived = api.admin("POST", &format!("{path}/archive"), "").await;
    assert_eq!((archived["status"].as_str(), archived["archived_at"].as_u64()), (Some("archived"), Some(NOW + 5)));
    assert!(!api.accepts(key).await);
    api.app.clock.advance_ms(5_000);
    assert_eq!(api.admin("POST", &format!("{path}/archive"), "").await, archived);
    assert_eq!(api.admin("GET", PROJECTS, "").await["data"], json!([]));
    assert_eq!(api.admin("GET", &format!("{PROJECTS}?include_archived=true"), "").await["data"], json!([archived]));
    let (status, refused) =
        api.send(Some(ADMIN_KEY), "POST", &format!("{path}/service_accounts"), r#"{"name":"App"}"#).await;
    assert_eq!((status, refused["error"]["code"].as_str()), (400, Some("project_archived")));
}

#[tokio::test]
async fn a_list_is_paged_oldest_first() {
    let api = AdminApi::new().await;
    let none = json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false});
    assert_eq!(api.admin("GET", PROJECTS, "").await, none);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(api.project().await.replace(&format!("{PROJECTS}/"), ""));
        api.app.clock.advance_ms(1);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.admin("GET", &format!("{PROJECTS}?limit=2{after}"), "").await;
        let ids: Vec<String> =
            page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            (page["first_id"].as_str(), page["last_id"].as_str()),
            (ids.first().map(String::as_str), ids.last().map(String::as_str))
        );
        after = format!("&after={}", page["last_id"].as_str().unwrap());
        seen.extend(ids);
        if page["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_kept() {
    let api = AdminApi::new().await;
    let path = api.project().await;
    let changes = [
        json!({"name": "Crew"}),
        json!({"limits": {"requests_per_minute": 5}}),
        json!({"limits": {"tokens_per_minute": 6}}),
        json!({"limits": {"budget_usd_per_month": 7}}),
        json!({"policy": {"dedupe_retries": true}}),
        json!({"policy": {"cache_ttl_seconds": 8}}),
    ];
    let [a, b, c, d, e, f] = changes.each_ref().map(Value::to_string);
    let send = |body: String| {
        let (api, path) = (&api, &path);
        async move { api.admin("POST", path, &body).await }
    };
    tokio::join!(send(a), send(b), send(c), send(d), send(e), send(f));
    let limits = json!({"requests_per_minute": 5, "tokens_per_minute": 6, "concurrent_requests": null, "budget_usd_per_month": 7.0});
    let policy = policy(&json!({"dedupe_retries": true, "cache_ttl_seconds": 8}));
    assert_eq!(plain(api.admin("GET", &path, "").await), expected("Crew", &limits, &policy).to_string());
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(api.app.stores.projects().get(id).await.unwrap().unwrap().revision, 7);
}
