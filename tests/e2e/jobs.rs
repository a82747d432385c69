//! Never lost, never twice: background responses, whatever happens to their workers.

use kit::{World, send};
use serde_json::{Value, json};
use shared::model::message::ResponseKey;
use shared::model::project::Policy;

use crate::budget;

pub(crate) const RESPONSES: &str = "/v1/responses";

/// A background response of the model `priced` that may write 100 tokens.
pub(crate) fn background() -> Value {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 100, "background": true})
}

/// What it costs: 10 input tokens at 1 micro-dollar, 5 output tokens at 2.
pub(crate) const COST: u64 = 20;

#[tokio::test]
async fn a_background_response_is_queued_then_made_by_a_worker_and_paid_once() {
    let world = World::new().await;
    let (project, key) = world.project(budget(1.0), Policy::default()).await;
    let gateway = world.gateway();
    let router = kit::router_of(&gateway);
    let queued = send(&router, "POST", RESPONSES, &key, &[], background().to_string()).await;
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((queued.status, queued.json()["status"].as_str()), (200, Some("queued")), "{}", queued.text());
    let (spent, held) = world.books(&project).await;
    assert!(spent == 0 && held > 0);

    let job = ResponseKey { project_id: project.id.clone(), response_id: id.clone() };
    gateway.respond(&job, None).await.unwrap();
    gateway.respond(&job, None).await.unwrap();
    let made = send(&world.router(), "GET", &format!("{RESPONSES}/{id}"), &key, &[], "").await.json();
    assert_eq!((made["status"].as_str(), made["background"].as_bool()), (Some("completed"), Some(true)), "{made}");
    assert_eq!(made["output"][0]["content"][0]["text"], "Hello there.");
    assert_eq!(world.books(&project).await, (COST, 0));
    assert_eq!(world.first.call_count(), 1);
    let stream = send(&world.router(), "GET", &format!("{RESPONSES}/{id}?stream=true"), &key, &[], "").await;
    println!("{}", stream.text());
    let after =
        send(&world.router(), "GET", &format!("{RESPONSES}/{id}?stream=true&starting_after=3"), &key, &[], "").await;
    assert!(stream.text().ends_with(after.text()) && after.text().contains("\"sequence_number\":4"));
}
