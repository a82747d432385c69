//! Registering, changing, listing, rotating.

use kit::{Hook, HookReply};
use serde_json::{Value, json};

use crate::api::{ENDPOINTS, WebhooksApi, ids};

const URL: &str = "https://example.com/hook";

#[tokio::test]
async fn an_endpoint_is_registered_and_its_secret_is_shown_once() {
    let api = WebhooksApi::strict().await;
    let body = json!({"url": URL, "event_types": ["response.completed", "response.failed"], "name": " Orders "});
    let mut created = api.ok("POST", ENDPOINTS, body).await;
    let (id, secret) = (created["id"].take(), created["signing_secret"].take());
    assert!(id.as_str().unwrap().starts_with("we_"));
    let secret = secret.as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    let expected = json!({
        "id": null, "object": "webhook_endpoint", "created_at": 1_795_366_800, "updated_at": 1_795_366_800,
        "name": "Orders", "url": URL, "event_types": ["response.completed", "response.failed"],
        "signing_secret_hint": format!("whsec_...{}", &secret[secret.len() - 4..]),
        "status": "enabled", "disabled_reason": null, "signing_secret": null,
    });
    assert_eq!(created, expected);

    let path = format!("{ENDPOINTS}/{}", id.as_str().unwrap());
    for (method, path, body) in
        [("GET", path.as_str(), Value::Null), ("GET", ENDPOINTS, Value::Null), ("POST", &path, json!({"name": "x"}))]
    {
        let answer = api.ok(method, path, body).await;
        assert!(!answer.to_string().contains(secret) && answer.get("signing_secret").is_none(), "{answer}");
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
        let body = json!({"name": "a", "url": url, "event_types": ["response.completed"]});
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
        (json!({"name": "a", "event_types": ["response.completed"]}), json!("url")),
        (json!({"url": URL, "event_types": ["response.completed"]}), json!("name")),
        (json!({"name": "a", "url": URL}), json!("event_types")),
        (json!({"name": "a", "url": URL, "event_types": []}), json!("event_types")),
        (json!({"name": "a", "url": URL, "event_types": "response.completed"}), json!("event_types")),
        (json!({"name": "a", "url": URL, "event_types": ["response.completed", "batch"]}), json!("event_types[1]")),
        (json!({"name": "a".repeat(201), "url": URL, "event_types": ["response.failed"]}), json!("name")),
        (json!({"name": " ", "url": URL, "event_types": ["response.failed"]}), json!("name")),
        (json!({"name": "a", "url": 7, "event_types": ["response.failed"]}), json!("url")),
        (json!({"name": "a", "url": URL, "event_types": ["response.failed"], "secret": "mine"}), json!("secret")),
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
    let change = json!({"url": "https://other.test/", "event_types": ["response.cancelled"], "name": "New"});
    api.ok("POST", &path, change).await;
    let disabled = api.ok("POST", &path, json!({"status": "disabled"})).await;
    assert_eq!(
        [&disabled["url"], &disabled["event_types"], &disabled["name"]],
        [&json!("https://other.test/"), &json!(["response.cancelled"]), &json!("New")]
    );
    assert_eq!([&disabled["status"], &disabled["disabled_reason"]], [&json!("disabled"), &json!("requested")]);
    let enabled = api.ok("POST", &path, json!({"status": "enabled", "name": null})).await;
    assert_eq!(
        [&enabled["status"], &enabled["disabled_reason"], &enabled["name"]],
        [&json!("enabled"), &Value::Null, &json!("New")]
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
        api.ok("POST", &path, json!({"name": "One"})),
        api.ok("POST", &path, json!({"event_types": ["response.failed"]})),
        api.ok("POST", &rotate, Value::Null),
    );
    assert!(one.is_object() && other.is_object() && third["signing_secret"].is_string());
    let found = api.ok("GET", &path, Value::Null).await;
    assert_eq!([&found["name"], &found["event_types"]], [&json!("One"), &json!(["response.failed"])]);
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
    let body = json!({"name": "a", "url": URL, "event_types": ["response.completed"]});
    let reply = api.send("POST", ENDPOINTS, body).await;
    assert_eq!((reply.status, reply.code()), (400, "too_many_webhook_endpoints".to_owned()));
    api.ok("DELETE", &first, Value::Null).await;
    api.endpoint(URL).await;
}

#[tokio::test]
async fn a_rotated_secret_is_shown_once_and_not_kept_too_often() {
    let api = WebhooksApi::strict().await;
    let (path, created) = api.endpoint(URL).await;
    let rotate = format!("{path}/rotate_secret");
    let keep = json!({"keep_old_secret_active_for_24_hours": true});
    let mut seen = vec![created["signing_secret"].clone()];
    for _ in 0..4 {
        let rotated = api.ok("POST", &rotate, keep.clone()).await;
        assert!(!seen.contains(&rotated["signing_secret"]));
        seen.push(rotated["signing_secret"].clone());
    }
    let reply = api.send("POST", &rotate, keep.clone()).await;
    assert_eq!((reply.status, reply.code()), (400, "rotated_too_often".to_owned()));
    api.app.clock.advance_ms(86_400_000);
    api.ok("POST", &rotate, keep.clone()).await;
    // A rotation that keeps no old secret is always possible, and ends all of them.
    for body in [Value::Null, json!({}), json!({"keep_old_secret_active_for_24_hours": false})] {
        api.ok("POST", &rotate, body).await;
    }
    let reply = api.send("POST", &rotate, json!({"keep_old_secret_active": true})).await;
    assert_eq!((reply.status, reply.code()), (400, "unknown_parameter".to_owned()));
}

#[tokio::test]
async fn the_time_of_the_last_change_is_told() {
    let api = WebhooksApi::strict().await;
    let (path, created) = api.endpoint(URL).await;
    let updated = async |below: &str, body: Value| {
        api.app.clock.advance_ms(1_000);
        api.ok("POST", &format!("{path}{below}"), body).await["updated_at"].as_u64().unwrap()
    };
    let made = created["created_at"].as_u64().unwrap();
    assert_eq!(created["updated_at"], made);
    for (below, body, expected) in [
        ("", json!({"name": "Orders"}), made),
        ("", json!({"name": "Sales"}), made + 2),
        ("", json!({"status": "enabled", "url": URL}), made + 2),
        ("/rotate_secret", Value::Null, made + 4),
        ("", json!({"status": "disabled"}), made + 5),
    ] {
        assert_eq!(updated(below, body.clone()).await, expected, "{below} {body}");
    }
}

#[tokio::test]
async fn a_test_sends_a_signed_event_once_and_changes_nothing() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    let (path, endpoint) = api.endpoint(&hook.url()).await;
    let test = format!("{path}/test");
    for (status, event_type) in [(200, "response.completed"), (500, "batch.cancelled")] {
        hook.then(HookReply::status(status));
        let tested = api.ok("POST", &test, json!({"event_type": event_type})).await;
        let expected = json!({
            "object": "webhook_endpoint.test", "webhook_endpoint_id": endpoint["id"], "event_type": event_type,
            "success": true, "status_code": status,
        });
        assert_eq!(tested, expected);
    }
    let received = hook.received();
    let about = |n: usize| {
        let event: Value = serde_json::from_slice(&received[n].body).unwrap();
        event["data"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(received.len(), 2);
    assert!(about(0).starts_with("resp_") && about(1).starts_with("batch_"), "{} {}", about(0), about(1));
    assert!(received.iter().all(|one| one.is_signed_with(endpoint["signing_secret"].as_str().unwrap())));
    assert!(ids(&api.ok("GET", &format!("{path}/deliveries"), Value::Null).await).is_empty());
    assert_eq!(api.ok("GET", &path, Value::Null).await["updated_at"], endpoint["updated_at"]);
    for (body, param) in [(json!({}), "event_type"), (json!({"event_type": "video.completed"}), "event_type")] {
        let reply = api.send("POST", &test, body).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)));
    }
    api.ok("POST", &path, json!({"status": "disabled"})).await;
    let reply = api.send("POST", &test, json!({"event_type": "response.failed"})).await;
    assert_eq!((reply.status, reply.code()), (400, "webhook_endpoint_disabled".to_owned()));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_a_test_is_an_error() {
    let api = WebhooksApi::local().await;
    let (path, _) = api.endpoint("http://127.0.0.1:9/").await;
    let reply = api.send("POST", &format!("{path}/test"), json!({"event_type": "response.failed"})).await;
    assert_eq!((reply.status, reply.code()), (400, "webhook_endpoint_unanswered".to_owned()), "{}", reply.text());
}

#[tokio::test]
async fn the_types_of_events_are_listed() {
    let api = WebhooksApi::strict().await;
    let expected = [
        "response.completed",
        "response.failed",
        "response.incomplete",
        "response.cancelled",
        "batch.completed",
        "batch.failed",
        "batch.expired",
        "batch.cancelled",
    ];
    let listed = api.ok("GET", "/v1/webhook_event_types", Value::Null).await;
    assert_eq!(listed, json!({"object": "list", "data": expected}));
}
