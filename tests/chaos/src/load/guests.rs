//! A guest: a project beside the tenants, which an administrator creates with a retention of its own. Its clients leave
//! content of every kind. Most guests are archived and purged, while some of that may still run.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::responses::{PATH, response_id};
use super::{Action, batches, chat, messages, prompt};
use crate::client::{Client, Request};
use crate::deployment::TENANTS;
use crate::observations::Guest;
use crate::seed::Seed;

/// One run in this many has a guest.
const GUEST_IN: u32 = 3;
/// What clients of a guest do.
const STEPS: usize = 6;

#[derive(Debug)]
struct Visit {
    retention: Retention,
    steps: Vec<Step>,
    is_purged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    Default,
    Nothing,
    OneDay,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Chat { path: &'static str, stream: bool },
    Respond { stream: bool, key: bool },
    RespondInBackground { stream: bool },
    Converse,
    SubmitBatch,
}

/// Draws the guest of a run, if it has one.
pub(super) fn draw(seed: Seed) -> Option<Box<dyn Action>> {
    let mut rng = seed.rng("guest", 0);
    rng.random_ratio(1, GUEST_IN).then(|| Box::new(draw_visit(&mut rng)) as Box<dyn Action>)
}

fn draw_visit(rng: &mut StdRng) -> Visit {
    const RETENTIONS: [Retention; 4] = [Retention::Default, Retention::Default, Retention::Nothing, Retention::OneDay];
    let retention = RETENTIONS[rng.random_range(0..RETENTIONS.len())];
    // Nothing else adds to a conversation.
    let steps = std::iter::once(Step::Converse).chain((0..STEPS).map(|_| draw_step(rng))).collect();
    Visit { retention, steps, is_purged: rng.random_bool(0.7) }
}

fn draw_step(rng: &mut StdRng) -> Step {
    match rng.random_range(0..7) {
        0 => Step::Chat { path: [chat::PATH, messages::PATH][rng.random_range(0..2)], stream: rng.random_bool(0.5) },
        1 | 2 => Step::Respond { stream: rng.random_bool(0.5), key: rng.random_bool(0.5) },
        3 | 4 => Step::RespondInBackground { stream: rng.random_bool(0.3) },
        5 => Step::Converse,
        _ => Step::SubmitBatch,
    }
}

#[async_trait]
impl Action for Visit {
    async fn run(&self, client: &mut Client) {
        let Some(guest) = self.arrive(client).await else { return };
        let (project_id, key) = (guest.project_id.clone(), guest.key.clone());
        client.deployment.sim.observed().guests.push(guest);
        let n = client.deployment.sim.observed().guests.len() - 1;
        for (number, step) in self.steps.iter().enumerate() {
            let Some(id) = step.take(client, &key, number).await else { continue };
            client.deployment.sim.observed().guests[n].responses.push(id);
        }
        if self.is_purged {
            client.deployment.sim.observed().guests[n].is_leaving = true;
            let path = format!("/v1/organization/projects/{project_id}");
            if administer(client, &format!("{path}/archive"), json!({})).await.is_some() {
                administer(client, &format!("{path}/purge"), json!({})).await;
            }
        }
    }
}

impl Visit {
    /// Creates the project, its key and a webhook endpoint.
    async fn arrive(&self, client: &mut Client) -> Option<Guest> {
        let retention = match self.retention {
            Retention::Default => Value::Null,
            Retention::Nothing => json!("none"),
            Retention::OneDay => json!(1),
        };
        let project = json!({"name": "Guest", "policy": {"retention": retention, "cache_ttl_seconds": 600}});
        let project = administer(client, "/v1/organization/projects", project).await?;
        let project_id = project["id"].as_str()?.to_owned();
        let accounts = format!("/v1/organization/projects/{project_id}/service_accounts");
        let account = administer(client, &accounts, json!({"name": "app"})).await?;
        let key = account["api_key"]["value"].as_str()?.to_owned();
        let endpoint = json!({"name": "guest", "url": "https://guest.example/", "event_types": ["response.completed", "response.failed"]});
        post(client, "/v1/webhook_endpoints", &key, None, &endpoint).await;
        Some(Guest { project_id, key, retention: self.retention, is_leaving: false, responses: Vec::new() })
    }
}

impl Step {
    /// Returns the id of the response that was made, if any.
    async fn take(self, client: &mut Client, key: &str, number: usize) -> Option<String> {
        let text = prompt::text(u32::try_from(number).unwrap_or_default());
        let idempotency_key = format!("guest-{number}");
        let body = match self {
            Self::Chat { path, stream } => {
                let messages = json!([{"role": "user", "content": text}]);
                let body = json!({"model": "chat", "messages": messages, "max_tokens": 40, "stream": stream});
                post(client, path, key, Some(idempotency_key), &body).await;
                return None;
            }
            Self::Converse => {
                let item = json!({"type": "message", "role": "user", "content": text});
                let made = post(client, "/v1/conversations", key, None, &json!({"items": [item]})).await?;
                let conversation: Value = serde_json::from_slice(&made).unwrap_or_default();
                json!({"model": "chat", "input": text, "conversation": conversation["id"], "background": number.is_multiple_of(2)})
            }
            Self::SubmitBatch => {
                submit_batch(client, key, &text).await;
                return None;
            }
            Self::Respond { stream, .. } => json!({"model": "chat", "input": text, "stream": stream}),
            Self::RespondInBackground { stream } => {
                json!({"model": "chat", "input": text, "stream": stream, "background": true})
            }
        };
        let has_key = matches!(self, Self::Respond { key: true, .. });
        response_id(&post(client, PATH, key, has_key.then_some(idempotency_key), &body).await?)
    }
}

/// Submits a batch of one line. A project that keeps nothing has none.
async fn submit_batch(client: &mut Client, key: &str, text: &str) -> Option<()> {
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": text}], "max_tokens": 40});
    let line = json!({"custom_id": "one", "method": "POST", "url": chat::PATH, "body": body}).to_string();
    let file_id = batches::upload(client, key.to_owned(), &line).await?;
    let batch = batches::submission(&file_id, chat::PATH);
    post(client, batches::PATH, key, None, &batch).await.map(drop)
}

/// Sends a request of the administrator until it is done, and returns the answer.
async fn administer(client: &mut Client, path: &str, body: Value) -> Option<Value> {
    let (path, bearer, body) = (path.to_owned(), kit::ADMIN_KEY.to_owned(), body.to_string());
    let request = Request { method: "POST", path, bearer, body, ..Request::default() };
    client.confirm(&request).await.filter(|reply| reply.status == 200).map(|reply| reply.json())
}

/// Sends a request of a client, and returns the body of a success as far as it came.
async fn post(
    client: &mut Client,
    path: &str,
    key: &str,
    idempotency_key: Option<String>,
    body: &Value,
) -> Option<bytes::Bytes> {
    let mut request = Request::of_tenant(TENANTS, false);
    request.headers.extend(idempotency_key.map(|key| ("idempotency-key", key)));
    let (path, bearer, body) = (path.to_owned(), key.to_owned(), body.to_string());
    let reply = client.send(&Request { method: "POST", path, bearer, body, ..request }).await?;
    (reply.status == 200).then_some(reply.body)
}
