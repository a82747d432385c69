//! Parts that clients put into the bucket themselves.

use kit::{TestApp, router_of};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

use super::{Client, file_of, id_of, of, text};

fn direct(bytes: usize) -> Value {
    let mut upload = of(bytes);
    upload["weir"] = json!({"direct": true});
    upload
}

#[tokio::test]
async fn a_file_goes_to_the_bucket_without_weir() {
    let client = Client::new().await;
    let created = client.create(direct(5)).await.json();
    let (upload, parts) = (text(&created["id"]), created["weir"]["parts"].as_array().unwrap());
    let [part] = &parts[..] else { panic!("{created}") };
    assert_eq!((&part["bytes"], &part["method"], &created["status"]), (&json!(5), &json!("PUT"), &json!("pending")));
    let (id, url) = (text(&part["id"]), text(&part["url"]));
    assert!(url.contains("X-Amz-Expires=3600") && url.contains("content-length"), "{url}");
    let early = client.complete(&upload, &[&id]).await;
    assert_eq!((early.status, &*early.code()), (400, "part_not_uploaded"));
    assert!(client.app.put_to_bucket(&url, "Hello, world").await >= 400, "the length is signed");
    assert_eq!(client.complete(&upload, &[&id]).await.code(), "part_not_uploaded");
    assert_eq!(client.app.put_to_bucket(&url, "Hello").await, 200);
    let file = file_of(&client.complete(&upload, &[&id]).await);
    assert_eq!(client.read(&file).await.text(), "Hello");
    assert_eq!((client.left().await.0, client.stored().await), (0, (5, 1)));
    // The URL is still valid: what comes too late goes.
    assert_eq!(client.app.put_to_bucket(&url, "World").await, 200);
    client.rest().await;
    assert_eq!((client.left().await, client.read(&file).await.text()), ((0, 1, 1), "Hello"));
}

#[tokio::test]
async fn a_large_file_has_parts_in_its_order() {
    let client = Client::new().await;
    let megabytes = 1024 * 1024;
    let parts = client.create(direct(150 * megabytes)).await.json()["weir"]["parts"].clone();
    let bytes: Vec<u64> = parts.as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [64, 64, 22].map(|part| part * megabytes as u64));
    let none = client.create(direct(0)).await;
    assert_eq!(none.json()["weir"]["parts"], json!([]));
    let file = file_of(&client.complete(&id_of(&none), &[]).await);
    assert_eq!(client.read(&file).await.body.len(), 0);
}

#[tokio::test]
async fn a_server_whose_bucket_no_client_reaches_says_what_to_do() {
    let mut client = Client::new().await;
    client.router = router_of(&client.app.instance_with_embedded_bucket());
    let refused = client.create(direct(5)).await;
    assert_eq!((refused.status, &*refused.code()), (400, "direct_not_available"));
    assert!(refused.text().contains("/v1/uploads/{upload_id}/parts"), "{}", refused.text());
    assert_eq!(client.left().await, (0, 0, 0));
}

/// Each asks the bucket which parts are there.
#[tokio::test]
async fn each_completion_is_one_request_whether_its_parts_have_arrived_or_not() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(4), ..Limits::default() };
    let (project, key) = app.project(limits, Policy::default()).await;
    let client = Client { router: app.router(), app, project_id: project.id, key };
    let created = client.create(direct(5)).await.json();
    let (upload, part) = (text(&created["id"]), &created["weir"]["parts"][0]);
    let id = text(&part["id"]);
    for _ in 0..2 {
        assert_eq!(client.complete(&upload, &[&id]).await.code(), "part_not_uploaded");
    }
    assert_eq!(client.app.put_to_bucket(&text(&part["url"]), "Hello").await, 200);
    file_of(&client.complete(&upload, &[&id]).await);
    let created = client.create(direct(5)).await;
    assert_eq!((created.status, &*created.code()), (429, "rate_limit_exceeded"));
}
