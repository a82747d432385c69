//! Deliveries as their owner sees them.

use kit::{Hook, HookReply};
use serde_json::{Value, json};

use crate::api::{WebhooksApi, ids};

#[tokio::test]
async fn a_delivery_shows_its_event_and_its_attempts() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    hook.then(HookReply::status(500));
    let (path, _) = api.endpoint(&hook.url()).await;
    api.announce("resp_1").await;
    let list = api.ok("GET", &format!("{path}/deliveries"), Value::Null).await;
    let delivery = &list["data"][0];
    assert_eq!([&delivery["status"], &delivery["attempts"]], [&json!("pending"), &json!([])]);
    api.deliver(delivery).await;

    let path = format!("{path}/deliveries/{}", delivery["id"].as_str().unwrap());
    let mut found = api.ok("GET", &path, Value::Null).await;
    assert!(found["attempts"][0]["duration_ms"].take().is_u64());
    assert!(found["next_attempt_at"].take().as_u64().unwrap() >= 1_795_366_805);
    let event = &found["event"];
    assert!(event["id"].as_str().unwrap().starts_with("evt_"));
    let expected = json!({
        "id": delivery["id"], "object": "webhook_endpoint.delivery", "webhook_endpoint_id": delivery["webhook_endpoint_id"],
        "created_at": 1_795_366_800, "status": "pending", "failed_reason": null, "next_attempt_at": null,
        "attempts": [{"created_at": 1_795_366_800, "duration_ms": null, "status_code": 500, "error": null}],
        "event": {
            "id": event["id"], "object": "event", "type": "response.completed", "created_at": 1_795_366_800,
            "data": {"id": "resp_1"},
        },
    });
    assert_eq!(found, expected);
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_and_by_status() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    let (path, _) = api.endpoint(&hook.url()).await;
    for n in 0..7 {
        api.announce(&format!("resp_{n}")).await;
    }
    let all = api.ok("GET", &format!("{path}/deliveries"), Value::Null).await;
    let made = ids(&all);
    assert_eq!((made.len(), &all["has_more"]), (7, &json!(false)));
    assert!(made.is_sorted_by(|newer, older| newer > older));
    assert_eq!(all["data"][0]["event"]["data"]["id"], "resp_6");
    for n in [1, 4] {
        api.deliver(&all["data"][n]).await;
    }
    let delivered = api.ok("GET", &format!("{path}/deliveries?status=delivered"), Value::Null).await;
    assert_eq!(ids(&delivered), [made[1].clone(), made[4].clone()]);

    let mut seen = Vec::new();
    let mut query = "limit=2&status=pending".to_owned();
    loop {
        let page = api.ok("GET", &format!("{path}/deliveries?{query}"), Value::Null).await;
        seen.extend(ids(&page));
        if page["has_more"] == json!(false) {
            break;
        }
        query = format!("limit=2&status=pending&after={}", page["last_id"].as_str().unwrap());
    }
    let pending: Vec<String> = [0, 2, 3, 5, 6].map(|n: usize| made[n].clone()).into();
    assert_eq!(seen, pending);
    for query in ["status=lost".to_owned(), "limit=101".to_owned(), format!("after={}", "a".repeat(65))] {
        let reply = api.send("GET", &format!("{path}/deliveries?{query}"), Value::Null).await;
        let param = query.split('=').next().unwrap();
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{query}");
    }
}

#[tokio::test]
async fn a_delivery_that_is_over_is_sent_again_if_its_endpoint_is_enabled() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    hook.then(HookReply::status(410));
    let (path, _) = api.endpoint(&hook.url()).await;
    api.announce("resp_1").await;
    let list = api.ok("GET", &format!("{path}/deliveries"), Value::Null).await;
    let delivery = &list["data"][0];
    let redeliver = format!("{path}/deliveries/{}/redeliver", delivery["id"].as_str().unwrap());
    let reply = api.send("POST", &redeliver, Value::Null).await;
    assert_eq!((reply.status, reply.code()), (400, "delivery_pending".to_owned()));
    api.deliver(delivery).await;

    let endpoint = api.ok("GET", &path, Value::Null).await;
    assert_eq!([&endpoint["status"], &endpoint["disabled_reason"]], ["disabled", "gone"]);
    let failed = api.ok("GET", &format!("{path}/deliveries?status=failed"), Value::Null).await;
    assert_eq!(failed["data"][0]["failed_reason"], "gone");
    let reply = api.send("POST", &redeliver, Value::Null).await;
    assert_eq!((reply.status, reply.code()), (400, "webhook_endpoint_disabled".to_owned()));

    api.ok("POST", &path, json!({"status": "enabled"})).await;
    for expected in 2..4 {
        let again = api.ok("POST", &redeliver, Value::Null).await;
        assert_eq!([&again["id"], &again["status"]], [&delivery["id"], &json!("pending")]);
        api.deliver(delivery).await;
        let received = hook.received();
        assert_eq!(received.len(), expected, "also what was delivered is sent again");
        assert!(received.iter().all(|request| request.header("webhook-id") == delivery["id"].as_str().unwrap()));
    }
    let unknown = api.send("POST", &format!("{path}/deliveries/wh_1/redeliver"), Value::Null).await;
    assert_eq!((unknown.status, unknown.code()), (404, "not_found".to_owned()));
}
