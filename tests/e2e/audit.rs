//! The audit log: no change through the admin API is without its entry, whatever dies.

use std::collections::BTreeSet;

use axum::Router;
use kit::{ADMIN_KEY, Fault, RECORDED_ADMIN_KEY, Reply, TestApp, recorded_events, routes_of, send};
use serde_json::{Value, json};
use shared::edge::config::HttpConfig;
use shared::model::admin_key::AdminScope;
use shared::model::model_names::{ModelNames, ModelPermissions, PermissionMode};
use shared::model::project::{Policy, Project};

use crate::budget;

const LOG: &str = "/v1/organization/audit_logs";
const DAY_MS: u64 = 86_400_000;
const ARCHIVE: &str = "POST /v1/organization/projects/{project_id}/archive";
/// Of an archived project.
const PURGE: &str = "POST /v1/organization/projects/{project_id}/purge";

/// Each route that changes something, a body that it takes, and the types of the entries that it writes.
const CHANGES: [(&str, &str, &[&str]); 17] = [
    ("POST /v1/organization/projects", r#"{"name":"New"}"#, &["project.created"]),
    ("POST /v1/organization/projects/{project_id}", r#"{"name":"Other"}"#, &["project.updated"]),
    ("POST /v1/organization/projects/{project_id}/archive", "", &["project.archived"]),
    (PURGE, "", &["project.purged"]),
    (
        "POST /v1/organization/projects/{project_id}/service_accounts",
        r#"{"name":"app"}"#,
        &["api_key.created", "service_account.created"],
    ),
    (
        "DELETE /v1/organization/projects/{project_id}/service_accounts/{account_id}",
        "",
        &["api_key.deleted", "service_account.deleted"],
    ),
    (
        "POST /v1/organization/projects/{project_id}/api_keys/{key_id}",
        r#"{"limits":{"budget_usd_per_month":5}}"#,
        &["api_key.updated"],
    ),
    ("DELETE /v1/organization/projects/{project_id}/api_keys/{key_id}", "", &["api_key.deleted"]),
    ("POST /v1/organization/projects/{project_id}/spend_limit", r#"{"threshold_amount":1}"#, &["project.updated"]),
    ("DELETE /v1/organization/projects/{project_id}/spend_limit", "", &["project.updated"]),
    (
        "POST /v1/organization/projects/{project_id}/model_permissions",
        r#"{"mode":"allow_list","model_ids":["priced"]}"#,
        &["project.updated"],
    ),
    ("DELETE /v1/organization/projects/{project_id}/model_permissions", "", &["project.updated"]),
    (
        "POST /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}",
        r#"{"max_requests_per_1_minute":9}"#,
        &["project.updated"],
    ),
    ("POST /v1/organization/admin_api_keys", r#"{"name":"second"}"#, &["tenant.admin_api_key.created"]),
    ("DELETE /v1/organization/admin_api_keys/{admin_key_id}", "", &["tenant.admin_api_key.deleted"]),
    ("POST /v1/organization/jobs/{id}/cancel", "", &["job.cancelled"]),
    ("POST /v1/organization/dead_letters/replay", r#"{"queue":"respond"}"#, &["dead_letters.replayed"]),
];

/// A project with an account, its key, and a job.
struct Team {
    app: TestApp,
    router: Router,
    project: Project,
    names: Vec<(&'static str, String)>,
}

impl Team {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let model_ids = ModelNames::parse("model_ids", vec!["unpriced".to_owned()]).unwrap();
        let models = Some(ModelPermissions { mode: PermissionMode::DenyList, model_ids });
        let (project, key) = app.project(budget(1.0), Policy { models, ..Policy::default() }).await;
        let router = app.router();
        let path = format!("/v1/organization/projects/{}/service_accounts", project.id);
        let account = send(&router, "POST", &path, ADMIN_KEY, &[], r#"{"name":"app"}"#).await.json();
        let job = json!({"model": "priced", "input": "Hi", "background": true}).to_string();
        let job = send(&router, "POST", "/v1/responses", &key, &[], job).await.json();
        let admin_key = app.admin_key(AdminScope::Read).await.0;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = vec![
            ("{admin_key_id}", admin_key),
            ("{project_id}", project.id.clone()),
            ("{account_id}", text(&account["id"])),
            ("{key_id}", text(&account["api_key"]["id"])),
            ("{rate_limit_id}", "rl_all".to_owned()),
            ("{id}", text(&job["id"])),
        ];
        Self { app, router, project, names }
    }

    /// A team to which a route of [`CHANGES`] applies.
    async fn for_route(route: &str) -> Self {
        let team = Self::new().await;
        if route == PURGE {
            assert_eq!(team.change(ARCHIVE, "").await.status, 200);
        }
        team
    }

    fn name(&self, name: &str) -> &str {
        &self.names.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Sends the request of a route of [`CHANGES`].
    async fn change(&self, route: &str, body: &'static str) -> Reply {
        let route = self.names.iter().fold(route.to_owned(), |route, (name, id)| route.replace(name, id));
        let (method, path) = route.split_once(' ').unwrap();
        send(&self.router, method, path, ADMIN_KEY, &[], body).await
    }

    /// The entries, newest first.
    async fn log(&self, query: &str) -> Value {
        let reply = send(&self.router, "GET", &format!("{LOG}?{query}"), ADMIN_KEY, &[], "").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn entries(&self, query: &str) -> Vec<Value> {
        self.log(query).await["data"].as_array().unwrap().clone()
    }

    async fn archived_at(&self) -> Option<u64> {
        self.app.stores.projects().get(&self.project.id).await.unwrap().unwrap().archived_at
    }
}

fn types(entries: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    types.sort_unstable();
    types
}

#[tokio::test]
async fn every_route_that_changes_something_writes_its_entries() {
    let routes = routes_of(&TestApp::new().await.router()).await;
    let changing = routes.iter().filter(|(method, path)| method != "GET" && path.starts_with("/v1/organization/"));
    let changing: BTreeSet<String> = changing.map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(changing, CHANGES.iter().map(|(route, ..)| (*route).to_owned()).collect());
    for (route, body, expected) in CHANGES {
        let team = Team::for_route(route).await;
        let before = team.entries("").await.len();
        team.app.clock.advance_ms(1_000);
        let reply = team.change(route, body).await;
        assert_eq!(reply.status, 200, "{route}: {}", reply.text());
        let entries = team.entries("").await;
        let written = &entries[..entries.len() - before];
        assert_eq!(types(written), expected, "{route}");
        for entry in written {
            let kind = entry["type"].as_str().unwrap();
            assert_eq!(entry["request_id"], reply.header("x-request-id"), "{route}");
            assert_eq!(entry["actor"]["api_key"]["id"], "admin", "{route}");
            assert!(entry[kind]["id"].is_string() && entry[kind]["before"] != entry[kind]["after"], "{route}: {entry}");
            let in_project = route.contains("/projects") || route.contains("/jobs");
            assert_eq!(entry["project"]["id"].is_string(), in_project, "{route}: {entry}");
        }
        assert_eq!(team.app.places_of("sk-weir-").await.iter().filter(|place| place.starts_with("AUDIT")).count(), 0);
    }
}

#[tokio::test]
async fn an_entry_shows_who_changed_what_and_from_where() {
    let app = TestApp::builder().admin_key(RECORDED_ADMIN_KEY).build().await;
    app.provision_recorded().await;
    let event = recorded_events().into_iter().find(|event| event.name == "admin-projects-update").unwrap();
    let answer = local::invoke_on(&app.instance(), "admin", &event.text, &HttpConfig::default()).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let path = format!("{LOG}?limit=1");
    let mut entry = send(&app.router(), "GET", &path, RECORDED_ADMIN_KEY, &[], "").await.json()["data"][0].take();
    let limits = |changed: Value| json!({"id": "proj_EventProject0000000000000", "before": changed["before"], "after": changed["after"], "changes_requested": changed["after"]});
    let details = limits(entry["project.updated"].clone());
    for random in ["id", "request_id"] {
        assert!(entry[random].as_str().unwrap().len() > 20);
        entry[random] = json!(null);
    }
    assert_eq!(
        entry,
        json!({
            "id": null, "object": "organization.audit_log", "type": "project.updated", "effective_at": 1_795_366_800,
            "project": {"id": "proj_EventProject0000000000000", "name": details["after"]["name"].as_str().unwrap_or("Events")},
            "actor": {"type": "api_key", "api_key": {"id": "admin", "type": "service_account", "service_account": {"id": "admin"}}},
            "ip_address": "203.0.113.7", "request_id": null, "project.updated": details,
        })
    );
    assert!(details["before"].is_object() && details["before"] != details["after"], "{details}");
}

#[tokio::test]
async fn no_change_is_without_an_entry_whatever_dies() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        for (route, body, expected) in CHANGES {
            for step in 0.. {
                let team = Team::for_route(route).await;
                let (before, items) = (team.entries("").await.len(), changed_items(&team.app).await);
                team.app.faults.at(step, fault);
                let reply = team.app.faults.or_die(team.change(route, body)).await;
                team.app.faults.clear();
                let written = team.entries("").await.len() - before;
                let has_changed = changed_items(&team.app).await != items;
                assert!(!has_changed || written > 0, "{route}, {fault:?} at step {step}: no entry");
                if reply.is_some() {
                    assert!(written == expected.len() && step > 0, "{route}");
                    break;
                }
            }
        }
    }
}

/// What administrators change: everything but the log, meters, and what is read or counted on the way.
async fn changed_items(app: &TestApp) -> Vec<String> {
    let mut items = Vec::new();
    for item in app.items().await {
        let key = |name: &str| item[name].as_s().unwrap().clone();
        let (pk, sk) = (key("pk"), key("sk"));
        if !["AUDIT", "METER#", "HOOK#", "USED#"].iter().any(|other| pk.starts_with(other)) {
            items.push(format!(
                "{pk}/{sk} {:?} {:?} {:?}",
                item.get("revision"),
                item.get("run_status"),
                item.get("id")
            ));
        }
    }
    items.sort();
    items
}

#[tokio::test]
async fn what_changes_nothing_is_no_entry() {
    let team = Team::new().await;
    let unchanged = ("POST /v1/organization/projects/{project_id}", r#"{"name":"Test"}"#);
    for (route, body) in [unchanged, (ARCHIVE, ""), (ARCHIVE, ""), (PURGE, ""), (PURGE, "")] {
        assert_eq!(team.change(route, body).await.status, 200);
    }
    let cancel = "POST /v1/organization/jobs/{id}/cancel";
    assert_eq!((team.change(cancel, "").await.status, team.change(cancel, "").await.status), (200, 200));
    assert_eq!(
        team.change("POST /v1/organization/projects/{project_id}/service_accounts", r#"{"name":"late"}"#).await.status,
        400
    );
    let entries = team.entries("").await;
    assert_eq!(
        types(&entries),
        ["api_key.created", "job.cancelled", "project.archived", "project.purged", "service_account.created"],
        "{entries:?}"
    );
    assert!(team.archived_at().await.is_some());
}

#[tokio::test]
async fn the_log_is_listed_newest_first_in_pages_both_ways_and_by_what_readers_ask() {
    let team = Team::new().await;
    let begun = team.app.clock.now().seconds();
    for n in 0..6 {
        team.app.clock.advance_ms(10_000);
        let body = ["{\"name\":\"a\"}", "{\"name\":\"b\"}"][n % 2];
        team.change("POST /v1/organization/projects/{project_id}", body).await;
    }
    let all = team.entries("").await;
    let ids: Vec<&str> = all.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    let times: Vec<u64> = all.iter().map(|entry| entry["effective_at"].as_u64().unwrap() - begun).collect();
    assert_eq!(times, [60, 50, 40, 30, 20, 10, 0, 0]);
    let page = async |query: String| {
        let page = team.log(&query).await;
        let found: Vec<String> =
            page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            (page["first_id"].as_str(), page["last_id"].as_str()),
            (found.first().map(|id| &**id), found.last().map(|id| &**id))
        );
        (found, page["has_more"].as_bool().unwrap())
    };
    let some =
        |range: std::ops::Range<usize>, more| (ids[range].iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(), more);
    assert_eq!(page("limit=3".into()).await, some(0..3, true));
    assert_eq!(page(format!("limit=3&after={}", ids[2])).await, some(3..6, true));
    assert_eq!(page(format!("limit=3&after={}", ids[5])).await, some(6..8, false));
    assert_eq!(page(format!("limit=3&before={}", ids[5])).await, some(2..5, true));
    assert_eq!(page(format!("limit=3&before={}", ids[2])).await, some(0..2, false));
    assert_eq!(page(format!("limit=9&before={}&after={}", ids[5], ids[1])).await, some(2..5, false));
    let at = |offset: u64| begun + offset;
    assert_eq!(page(format!("effective_at[gte]={}&effective_at[lt]={}", at(20), at(40))).await, some(3..5, false));
    assert_eq!(page(format!("effective_at[gt]={}&effective_at[lte]={}", at(20), at(40))).await, some(2..4, false));
    assert_eq!(page(format!("effective_at%5Bgt%5D={}", at(50))).await, some(0..1, false));
    assert_eq!(page("event_types[]=project.updated&event_types[]=login.failed".into()).await, some(0..6, false));
    assert_eq!(page(format!("project_ids[]={}&limit=1", team.project.id)).await, some(0..1, true));
    assert_eq!(page(format!("resource_ids[]={}", team.name("{account_id}"))).await.0.len(), 1);
    assert_eq!(page("actor_ids[]=admin".into()).await, some(0..8, false));
    for nothing in
        ["actor_ids[]=other", "actor_emails[]=a@example.com", "project_ids[]=proj_other", "event_types[]=user.added"]
    {
        assert_eq!(page(nothing.into()).await, (Vec::new(), false), "{nothing}");
    }
    for wrong in ["limit=0", "limit=101", "effective_at[gt]=now"] {
        let refused = send(&team.router, "GET", &format!("{LOG}?{wrong}"), ADMIN_KEY, &[], "").await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    team.app.clock.advance_ms(400 * DAY_MS);
    assert_eq!(team.entries("").await.len(), 0);
}
