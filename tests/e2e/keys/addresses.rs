//! The addresses that a key is taken from. They come from the platform, and never from a header.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kit::{ADMIN_KEY, RECORDED_ADMIN_KEY, TestApp, recorded_events, router_of};
use serde_json::{Value, json};
use shared::edge::PeerAddress;
use shared::edge::config::HttpConfig;
use shared::model::key_rights::AddressRange;
use shared::model::project::{Limits, Policy};
use tower::ServiceExt as _;

use super::make;

const PROJECTS: &str = "/v1/organization/projects";

/// The status and the body of a request over a connection from an address; `None` where no server says it.
async fn from(router: &Router, key: &str, address: Option<&str>) -> (u16, String) {
    get(router, "/v1/models", key, address).await
}

async fn get(router: &Router, path: &str, key: &str, address: Option<&str>) -> (u16, String) {
    let mut request = Request::builder()
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("x-forwarded-for", "203.0.113.7")
        .body(Body::empty())
        .unwrap();
    if let Some(address) = address {
        request.extensions_mut().insert(PeerAddress(address.parse().unwrap()));
    }
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_key_is_taken_from_its_addresses_only_whatever_headers_say() {
    let app = TestApp::new().await;
    let (project, free) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let ranges = json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::/32"]});
    let key = make(&router, &project.id, ranges).await.text;
    for address in ["203.0.113.7", "2001:db8::7", "::ffff:203.0.113.8"] {
        assert_eq!(from(&router, &key, Some(address)).await.0, 200, "{address}");
    }
    for address in [Some("203.0.114.7"), Some("2001:db9::7"), None] {
        let (status, body) = from(&router, &key, address).await;
        assert_eq!(status, 401, "{address:?}");
        let error = serde_json::from_str::<Value>(&body).unwrap()["error"].clone();
        assert_eq!(error["code"], "ip_not_authorized");
        assert!(!body.contains("203.0.113") && !body.contains("db8"), "the list is nobody else's: {body}");
        assert_eq!(from(&router, &free, address).await.0, 200);
    }
}

#[tokio::test]
async fn behind_api_gateway_the_address_is_what_it_saw() {
    let app = TestApp::builder().admin_key(RECORDED_ADMIN_KEY).build().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let event = recorded_events().into_iter().find(|event| event.name == "models-list").unwrap();
    let recorded = serde_json::from_str::<Value>(&event.text).unwrap()["headers"]["Authorization"].clone();
    let recorded = recorded.as_str().unwrap().trim_start_matches("Bearer ").to_owned();
    for (range, expected) in [("203.0.113.7", 200), ("203.0.113.8/32", 401)] {
        let key = app.restricted_key(&project.id, range).await;
        let text = event.text.replace(&recorded, &key);
        let answer = local::invoke_on(&app.instance(), "models", &text, &HttpConfig::default()).await.unwrap();
        assert_eq!(answer["statusCode"], expected, "{answer}");
    }
}

#[tokio::test]
async fn the_admin_api_is_reachable_from_its_addresses_only_whatever_the_key() {
    let app = TestApp::new().await;
    let ranges = AddressRange::parse_list("ADMIN_ADDRESSES", "203.0.113.0/24, 2001:db8::/32").unwrap().unwrap();
    let router = router_of(&app.instance_reachable_from(ranges));
    for (path, key) in [(PROJECTS, ADMIN_KEY), ("/v1/organization/costs?start_time=1", ADMIN_KEY), (PROJECTS, "wrong")]
    {
        for (address, allowed) in
            [(Some("203.0.113.7"), true), (Some("2001:db8::7"), true), (Some("203.0.114.7"), false), (None, false)]
        {
            let (status, body) = get(&router, path, key, address).await;
            let expected = match (allowed, key) {
                (true, ADMIN_KEY) => 200,
                _ => 401,
            };
            assert_eq!(status, expected, "{path} {address:?}: {body}");
            assert_eq!(body.contains("ip_not_authorized"), !allowed, "{body}");
        }
    }
    // Projects' keys are not concerned.
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    assert_eq!(from(&router, &key, Some("203.0.114.7")).await.0, 200);
}
