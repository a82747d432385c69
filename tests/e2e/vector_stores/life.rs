//! Stores: made, listed, changed, expired and deleted.

use kit::send;
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};
use shared::model::retention::Retention;

use super::{CATS, PUMPS, STORES, Site, TAXES};

const DAY_MS: u64 = 86_400_000;

#[tokio::test(start_paused = true)]
async fn a_store_is_made_with_files_changed_listed_and_deleted() {
    let site = Site::new().await;
    let files = [site.upload("pumps.md", PUMPS).await, site.upload("cats.txt", CATS).await];
    let made =
        site.post(STORES, json!({"name": "n", "description": "d", "file_ids": files, "metadata": {"a": "b"}})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let counts = |in_progress, completed| json!({"in_progress": in_progress, "completed": completed, "failed": 0, "cancelled": 0, "total": in_progress + completed});
    let mut expected = json!({
        "id": id, "object": "vector_store", "created_at": made["created_at"], "name": "n", "description": "d", "usage_bytes": 0,
        "file_counts": counts(2, 0), "status": "in_progress", "expires_after": null, "expires_at": null,
        "last_active_at": made["created_at"], "metadata": {"a": "b"}, "weir": {"embedding_model": "embedding"},
    });
    assert_eq!(made, expected);
    site.work().await;
    let path = format!("{STORES}/{id}");
    expected["file_counts"] = counts(0, 2);
    expected["status"] = json!("completed");
    expected["usage_bytes"] = json!(PUMPS.len() + CATS.len());
    assert_eq!(site.get(&path).await, expected);

    let changed = site
        .post(&path, json!({"name": "other", "metadata": {}, "expires_after": {"anchor": "last_active_at", "days": 2}}))
        .await;
    expected["name"] = json!("other");
    expected["metadata"] = json!({});
    expected["expires_after"] = json!({"anchor": "last_active_at", "days": 2});
    expected["expires_at"] = json!(made["created_at"].as_u64().unwrap() + 2 * DAY_MS / 1_000);
    assert_eq!(changed, expected);
    let kept = site.post(&path, json!({"expires_after": null})).await;
    assert_eq!((&kept["name"], &kept["expires_at"]), (&json!("other"), &Value::Null));

    let other = site.store().await;
    let listed =
        |list: Value| list["data"].as_array().unwrap().iter().map(|store| store["name"].clone()).collect::<Vec<_>>();
    assert_eq!(listed(site.get(STORES).await), ["store", "other"]);
    assert_eq!(listed(site.get(&format!("{STORES}?order=asc&limit=1")).await), ["other"]);
    assert_eq!(listed(site.get(&format!("{STORES}?order=asc&after={id}")).await), ["store"]);
    assert_eq!(listed(site.get(&format!("{STORES}?before={id}")).await), ["store"]);

    site.delete(&path).await;
    site.delete(&other).await;
    assert_eq!(listed(site.get(STORES).await), [""; 0]);
    for (method, path) in [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/files"))] {
        let reply = site.send(method, &path, json!({"file_id": files[0]})).await;
        assert_eq!((reply.status, reply.code()), (404, "not_found".to_owned()), "{method} {}", reply.text());
    }
    site.work().await;
    site.minutes(62).await;
    assert_eq!(site.leftovers().await, [""; 0]);
    assert!(site.get(&format!("/v1/files/{}", files[0])).await["id"].is_string(), "the files themselves stay");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_gets_the_store_that_the_first_one_made() {
    let site = Site::new().await;
    let file = site.upload("cats.txt", CATS).await;
    let body = json!({"name": "n", "file_ids": [file]}).to_string();
    let create = async |key: &str, body: String| {
        send(&site.router, "POST", STORES, &site.key, &[("idempotency-key", key)], body).await
    };
    let first = create("k", body.clone()).await;
    let again = create("k", body).await;
    assert_eq!((again.json()["id"].clone(), again.header("idempotent-replayed")), (first.json()["id"].clone(), "true"));
    let other = create("k", json!({"name": "m"}).to_string()).await;
    assert_eq!(other.status, 422, "{}", other.text());
    assert_eq!(site.get(STORES).await["data"].as_array().unwrap().len(), 1);
}

/// Each search puts the end off. Then nothing is searched any more, and the chunks are gone; the record says that it has expired.
#[tokio::test(start_paused = true)]
async fn a_store_expires_after_days_without_a_search() {
    let site = Site::new().await;
    let store = site.store_with(&[("cats.txt", CATS), ("taxes.txt", TAXES)]).await;
    site.post(&store, json!({"expires_after": {"anchor": "last_active_at", "days": 1}})).await;
    for _ in 0..3 {
        site.app.clock.advance_ms(DAY_MS * 3 / 4);
        assert_eq!(site.found(&store, "cats").await[0], "cats.txt");
        site.minutes(1).await;
    }
    site.app.clock.advance_ms(DAY_MS);
    let expired = site.get(&store).await;
    assert_eq!(expired["status"], "expired");
    for (path, body) in
        [("search", json!({"query": "cats"})), ("files", json!({"file_id": site.upload("a.txt", "a").await}))]
    {
        let reply = site.send("POST", &format!("{store}/{path}"), body).await;
        assert_eq!((reply.status, reply.code()), (400, "vector_store_expired".to_owned()), "{}", reply.text());
    }
    site.minutes(70).await;
    let left = site.get(&store).await;
    assert_eq!(
        (left["status"].as_str(), left["file_counts"]["total"].as_u64(), left["usage_bytes"].as_u64()),
        (Some("expired"), Some(0), Some(0))
    );
    let left = site.leftovers().await;
    assert!(left.iter().all(|pk| pk.starts_with("VSTORES#")), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_done_say_why() {
    let site = Site::new().await;
    let store = site.store().await;
    let unknown = "vs_0000000000000000000000000";
    for (method, path, body, status, param) in [
        ("POST", STORES.to_owned(), json!({"nam": "x"}), 400, json!("nam")),
        ("POST", STORES.to_owned(), json!({"file_ids": ["file-1"]}), 404, Value::Null),
        ("GET", format!("{STORES}?limit=101"), Value::Null, 400, json!("limit")),
        ("GET", format!("{STORES}?order=up"), Value::Null, 400, json!("order")),
        ("GET", format!("{STORES}/{unknown}"), Value::Null, 404, Value::Null),
        ("GET", format!("{STORES}/vs_%23"), Value::Null, 404, Value::Null),
        ("POST", format!("{STORES}/{unknown}/search"), json!({"query": "q"}), 404, Value::Null),
        ("POST", format!("{store}/search"), json!({"query": ""}), 400, json!("query")),
        ("POST", format!("{store}/files"), json!({"file_id": "file-1"}), 404, Value::Null),
        ("POST", format!("{store}/files"), json!({}), 400, json!("file_id")),
        ("GET", format!("{store}/files?filter=done"), Value::Null, 400, json!("filter")),
        ("GET", format!("{store}/files/file-1"), Value::Null, 404, Value::Null),
        ("DELETE", format!("{store}/files/%23"), Value::Null, 404, Value::Null),
    ] {
        let reply = site.send(method, &path, body).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["param"]), (status, &param), "{method} {path}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_project_that_keeps_nothing_has_no_stores() {
    let site = Site::new().await;
    let policy = Policy { retention: Some(Retention::Nothing), ..Policy::default() };
    let (_, key) = site.app.project(Limits::default(), policy).await;
    let reply = send(&site.router, "POST", STORES, &key, &[], "{}").await;
    assert_eq!((reply.status, reply.code()), (400, "nothing_is_kept".to_owned()), "{}", reply.text());
}
