//! Another project's endpoints and deliveries do not exist; without a key nothing does.

use kit::Hook;
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

use crate::api::{ENDPOINTS, WebhooksApi, ids};

#[tokio::test]
async fn another_projects_ids_are_not_found() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    let (path, endpoint) = api.endpoint(&hook.url()).await;
    api.announce("resp_1").await;
    let list = api.ok("GET", &format!("{path}/deliveries"), Value::Null).await;
    let delivery = format!("{path}/deliveries/{}", ids(&list)[0]);
    let (_, other) = api.app.project(Limits::default(), Policy::default()).await;
    let routes = [
        ("GET", path.clone(), Value::Null),
        ("POST", path.clone(), json!({"name": "mine"})),
        ("POST", path.clone(), json!({"url": "http://127.0.0.1/"})),
        ("DELETE", path.clone(), Value::Null),
        ("POST", format!("{path}/rotate_secret"), Value::Null),
        ("POST", format!("{path}/test"), json!({"event_type": "response.completed"})),
        ("GET", format!("{path}/deliveries"), Value::Null),
        ("GET", delivery.clone(), Value::Null),
        ("POST", format!("{delivery}/redeliver"), Value::Null),
    ];
    for (method, route, body) in routes {
        let reply = api.send_as(&other, method, &route, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (404, "not_found".to_owned()), "{method} {route}");
        let reply = api.send_as("", method, &route, body).await;
        assert_eq!((reply.status, reply.code()), (401, "invalid_api_key".to_owned()), "{method} {route}");
    }
    assert!(ids(&api.send_as(&other, "GET", ENDPOINTS, Value::Null).await.json()).is_empty());
    let mut shown = endpoint;
    shown.as_object_mut().unwrap().remove("signing_secret");
    assert_eq!(api.ok("GET", &path, Value::Null).await, shown, "nothing was changed");
}

#[tokio::test]
async fn an_endpoint_of_ones_own_does_not_lead_to_anothers_deliveries() {
    let api = WebhooksApi::local().await;
    let hook = Hook::start(&api.app.clock).await;
    let (path, _) = api.endpoint(&hook.url()).await;
    api.announce("resp_1").await;
    let list = api.ok("GET", &format!("{path}/deliveries"), Value::Null).await;
    let (_, other) = api.app.project(Limits::default(), Policy::default()).await;
    let body = json!({"name": "own", "url": hook.url(), "event_types": ["response.completed"]});
    let own = api.send_as(&other, "POST", ENDPOINTS, body).await.json();
    let own = format!("{ENDPOINTS}/{}/deliveries", own["id"].as_str().unwrap());
    assert!(ids(&api.send_as(&other, "GET", &own, Value::Null).await.json()).is_empty());
    let reply = api.send_as(&other, "GET", &format!("{own}/{}", ids(&list)[0]), Value::Null).await;
    assert_eq!((reply.status, reply.code()), (404, "not_found".to_owned()));
}
