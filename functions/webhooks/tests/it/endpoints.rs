//! Registering, changing, listing, rotating.

use serde_json::{Value, json};

use crate::api::{ENDPOINTS, WebhooksApi, ids};

const URL: &str = "https://example.com/hook";

#[tokio::test]
async fn an_endpoint_is_registered_and_its_secret_is_shown_once() {
    let api = WebhooksApi::strict().await;
    let body = json!({"url": URL, "event_types": ["response.completed", "response.failed"], "description": " Orders "});
    let mut created = api.ok("POST", ENDPOINTS, body).await;
    let (id, secret) = (created["id"].take(), created["secret"].take());
    assert!(id.as_str().unwrap().starts_with("we_"));
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    let expected = json!({
        "id": null, "object": "webhook_endpoint", "created_at": 1_795_366_800, "url": URL,
        "event_types": ["response.completed", "response.failed"], "description": "Orders",
        "status": "enabled", "disabled_reason": null, "secret": null,
    });
    assert_eq!(created, expected);

    let path = format!("{ENDPOINTS}/{}", id.as_str().unwrap());
    for (method, path, body) in [
        ("GET", path.as_str(), Value::Null),
        ("GET", ENDPOINTS, Value::Null),
        ("POST", &path, json!({"description": "x"})),
    ] {
        let answer = api.ok(method, path, body).await;
        assert!(!answer.to_string().contains("whsec_") && answer.get("secret").is_none(), "{answer}");
    }
    let deleted = api.ok("DELETE", &path, Value::Null).await;
    assert_eq!(deleted, json!({"id": id, "object": "webhook_endpoint.deleted", "deleted": true}));
    assert_eq!(api.send("GET", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_said_with_its_param() {
    let api = WebhooksApi::strict().await;
    let names = &api.app.names;
    names.set("inside.test", &["10.0.0.1"]);
    names.set("metadata.test", &["169.254.169.254"]);
    names.set("self.test", &["127.0.0.1"]);
    names.set("half.test", &["93.184.215.14", "fd00:ec2::254"]);
    let long = format!("https://example.com/{}", "a".repeat(2_048));
    for (url, message) in [
        ("", "`url` is no absolute URL: relative URL without a base."),
        ("example.com", "`url` is no absolute URL: relative URL without a base."),
        ("http://example.com/", "`url` begins with `http:`, expected `https:`."),
        ("ftp://example.com/", "`url` begins with `ftp:`, expected `https:`."),
        ("https://user:pass@example.com/", "`url` contains a user name or password; deliveries are signed instead."),
        ("https://example.com/#x", "`url` has a fragment (`#...`), which is not sent to servers; leave it out."),
        ("https://example.com/ x", "`url` contains spaces or control characters; escape them."),
        ("https://example.com/{id}", "`url` contains `{`, which no URL may; escape it."),
        ("https://8.8.8/", "`url` begins with another way to write `https://8.8.0.8`; begin it with that."),
        (&long, "`url` has 2068 bytes, expected at most 2048."),
        ("https://127.0.0.1/", "`url` points to 127.0.0.1; events are sent to public addresses only."),
        ("https://2130706433/", "`url` points to 127.0.0.1; events are sent to public addresses only."),
        ("https://0251.0376.0251.0376/", "`url` points to 169.254.169.254; events are sent to public addresses only."),
        ("https://[::ffff:10.0.0.1]/", "`url` points to ::ffff:10.0.0.1; events are sent to public addresses only."),
        ("https://[fd00:ec2::254]/", "`url` points to fd00:ec2::254; events are sent to public addresses only."),
        ("https://nowhere.test/", "The host of `url`, `nowhere.test`, has no address in DNS."),
        (
            "https://inside.test/",
            "The host of `url`, `inside.test`, has an address that is not public; events are sent to public addresses only.",
        ),
        (
            "https://metadata.test/",
            "The host of `url`, `metadata.test`, has an address that is not public; events are sent to public addresses only.",
        ),
        (
            "https://self.test:8443/",
            "The host of `url`, `self.test`, has an address that is not public; events are sent to public addresses only.",
        ),
        (
            "https://half.test/",
            "The host of `url`, `half.test`, has an address that is not public; events are sent to public addresses only.",
        ),
    ] {
        let body = json!({"url": url, "event_types": ["response.completed"]});
        let expected = json!({"error": {
            "message": message, "type": "invalid_request_error", "param": "url", "code": "webhook_url_refused",
        }});
        let reply = api.send("POST", ENDPOINTS, body).await;
        assert_eq!((reply.status, reply.json()), (400, expected), "{url}");
        let (path, _) = api.endpoint(URL).await;
        let reply = api.send("POST", &path, json!({"url": url})).await;
        assert_eq!((reply.status, reply.code()), (400, "webhook_url_refused".to_owned()), "{url}");
        api.ok("DELETE", &path, Value::Null).await;
    }
    for (body, param) in [
        (json!({"event_types": ["response.completed"]}), json!("url")),
        (json!({"url": URL}), json!("event_types")),
        (json!({"url": URL, "event_types": []}), json!("event_types")),
        (json!({"url": URL, "event_types": "response.completed"}), json!("event_types")),
        (json!({"url": URL, "event_types": ["response.completed", "batch"]}), json!("event_types[1]")),
        (json!({"url": URL, "event_types": ["response.failed"], "description": "a".repeat(201)}), json!("description")),
        (json!({"url": 7, "event_types": ["response.failed"]}), json!("url")),
        (json!({"url": URL, "event_types": ["response.failed"], "secret": "mine"}), json!("secret")),
    ] {
        let reply = api.send("POST", ENDPOINTS, body.clone()).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &param), "{body}: {}", reply.text());
    }
    assert!(ids(&api.ok("GET", ENDPOINTS, Value::Null).await).is_empty());
}

#[tokio::test]
async fn an_endpoint_is_changed_field_by_field() {
    let api = WebhooksApi::strict().await;
    api.app.names.set("other.test", &["93.184.215.14"]);
    let (path, _) = api.endpoint(URL).await;
    let change = json!({"url": "https://other.test/", "event_types": ["response.cancelled"], "description": "New"});
    api.ok("POST", &path, change).await;
    let disabled = api.ok("POST", &path, json!({"status": "disabled"})).await;
    assert_eq!(
        [&disabled["url"], &disabled["event_types"], &disabled["description"]],
        [&json!("https://other.test/"), &json!(["response.cancelled"]), &json!("New")]
    );
    assert_eq!([&disabled["status"], &disabled["disabled_reason"]], [&json!("disabled"), &json!("requested")]);
    let enabled = api.ok("POST", &path, json!({"status": "enabled", "description": null})).await;
    assert_eq!(
        [&enabled["status"], &enabled["disabled_reason"], &enabled["description"]],
        [&json!("enabled"), &Value::Null, &Value::Null]
    );
    assert_eq!(api.ok("GET", &path, Value::Null).await, enabled);
    let reply = api.send("POST", &path, json!({"status": "paused"})).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("status")));
}

#[tokio::test]
async fn changes_at_the_same_moment_all_take_place() {
    let api = WebhooksApi::strict().await;
    let (path, _) = api.endpoint(URL).await;
    let rotate = format!("{path}/rotate_secret");
    let (one, other, third) = tokio::join!(
        api.ok("POST", &path, json!({"description": "One"})),
        api.ok("POST", &path, json!({"event_types": ["response.failed"]})),
        api.ok("POST", &rotate, Value::Null),
    );
    assert!(one.is_object() && other.is_object() && third["secret"].is_string());
    let found = api.ok("GET", &path, Value::Null).await;
    assert_eq!([&found["description"], &found["event_types"]], [&json!("One"), &json!(["response.failed"])]);
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let api = WebhooksApi::strict().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, api.endpoint(URL).await.1["id"].as_str().unwrap().to_owned());
        api.app.clock.advance_ms(1);
    }
    let first = api.ok("GET", &format!("{ENDPOINTS}?limit=3"), Value::Null).await;
    assert_eq!((ids(&first), &first["has_more"]), (made[..3].to_vec(), &json!(true)));
    assert_eq!([&first["object"], &first["first_id"], &first["last_id"]], ["list", &*made[0], &*made[2]]);
    let second = api.ok("GET", &format!("{ENDPOINTS}?limit=3&after={}", made[2]), Value::Null).await;
    assert_eq!((ids(&second), &second["has_more"]), (made[3..].to_vec(), &json!(false)));
    assert_eq!(api.send("GET", &format!("{ENDPOINTS}?limit=0"), Value::Null).await.status, 400);
}

#[tokio::test]
async fn a_project_has_at_most_twenty_endpoints() {
    let api = WebhooksApi::strict().await;
    let (first, _) = api.endpoint(URL).await;
    for _ in 1..20 {
        api.endpoint(URL).await;
    }
    let body = json!({"url": URL, "event_types": ["response.completed"]});
    let reply = api.send("POST", ENDPOINTS, body).await;
    assert_eq!((reply.status, reply.code()), (400, "too_many_webhook_endpoints".to_owned()));
    api.ok("DELETE", &first, Value::Null).await;
    api.endpoint(URL).await;
}

#[tokio::test]
async fn a_rotated_secret_is_shown_once_and_not_too_often() {
    let api = WebhooksApi::strict().await;
    let (path, created) = api.endpoint(URL).await;
    let rotate = format!("{path}/rotate_secret");
    let mut seen = vec![created["secret"].clone()];
    for _ in 0..4 {
        let rotated = api.ok("POST", &rotate, Value::Null).await;
        assert!(!seen.contains(&rotated["secret"]));
        seen.push(rotated["secret"].clone());
    }
    let reply = api.send("POST", &rotate, Value::Null).await;
    assert_eq!((reply.status, reply.code()), (400, "rotated_too_often".to_owned()));
    api.app.clock.advance_ms(86_400_000);
    api.ok("POST", &rotate, Value::Null).await;
}
