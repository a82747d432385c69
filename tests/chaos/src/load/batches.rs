//! A client submits a batch, and may cancel it, delete its file, or hang up before it knows that its batch was made.

use std::time::Duration;

use async_trait::async_trait;
use kit::{FORM, file_form};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Action, chat, draw_hang_up, draw_tenant, embed, files, prompt, responses};
use crate::client::{Client, Request};
use crate::observations::SeenBatch;

pub(crate) const PATH: &str = "/v1/batches";

/// A line may be called so often: tries of a wave, in runs of which four may die, and in some that only seemed dead.
const MAX_CALLS: u64 = 40;

/// Longer than a batch takes. The end of a run comes after the last file has expired: responses must not have expired by then.
const KEPT_SECONDS: &str = "172800";

#[derive(Debug)]
struct Submit {
    project: usize,
    endpoint: &'static str,
    /// The provider runs the lines in a batch of its own.
    is_native: bool,
    lines: u32,
    /// One line is no request: the batch fails.
    is_bad: bool,
    cancels_after: Option<Duration>,
    deletes_file_after: Option<Duration>,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    const ENDPOINTS: [&str; 4] = [chat::PATH, chat::PATH, responses::PATH, embed::PATH];
    let after =
        |rng: &mut StdRng, share| rng.random_bool(share).then(|| Duration::from_millis(rng.random_range(0..8_000)));
    let endpoint = ENDPOINTS[rng.random_range(0..ENDPOINTS.len())];
    Box::new(Submit {
        project: draw_tenant(rng),
        endpoint,
        is_native: endpoint == chat::PATH && rng.random_bool(0.6),
        lines: rng.random_range(1..9),
        is_bad: rng.random_bool(0.1),
        cancels_after: after(rng, 0.25),
        deletes_file_after: after(rng, 0.15),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Submit {
    async fn run(&self, client: &mut Client) {
        let content: String = (0..self.lines).map(|n| self.line(n) + "\n").collect();
        let bearer = client.permanent_key(self.project);
        let Some(file_id) = upload(client, bearer.clone(), &content).await else { return };
        let Some(batch_id) = self.create(client, &file_id, content.len()).await else { return };
        let request = |method, path| Request { method, path, bearer: bearer.clone(), ..Request::default() };
        if let Some(after) = self.cancels_after {
            tokio::time::sleep(after).await;
            client.send(&request("POST", format!("{PATH}/{batch_id}/cancel"))).await;
        }
        if let Some(after) = self.deletes_file_after {
            tokio::time::sleep(after).await;
            client.send(&request("DELETE", format!("{}/{file_id}", files::PATH))).await;
        }
        client.send(&request("GET", format!("{PATH}/{batch_id}"))).await;
    }
}

impl Submit {
    fn line(&self, n: u32) -> String {
        let text = prompt::text(n % 6);
        let body = match self.endpoint {
            embed::PATH => json!({"model": "embedding", "input": text}),
            responses::PATH => json!({"model": "chat", "input": text, "max_output_tokens": 40}),
            _ => json!({
                "model": if self.is_native { "batched" } else { "chat" },
                // A provider's batch has no trace context, which tells the tenant otherwise.
                "user": prompt::answer_prefix(self.project),
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 40,
            }),
        };
        let method = if self.is_bad && n + 1 == self.lines { "GET" } else { "POST" };
        json!({"custom_id": n.to_string(), "method": method, "url": self.endpoint, "body": body}).to_string()
    }

    /// Returns the id of the batch, if the client learns it.
    async fn create(&self, client: &mut Client, file_id: &str, bytes: usize) -> Option<String> {
        let body = submission(file_id, self.endpoint);
        let request = Request {
            method: "POST",
            path: PATH.to_owned(),
            bearer: client.permanent_key(self.project),
            body: body.to_string(),
            hangs_up_after: self.hangs_up_after,
            ..Request::of_tenant(self.project, false)
        };
        let lines = u64::from(self.lines);
        let once = prompt::cost(5 * (bytes as u64 + lines * prompt::MARGIN), lines * 40);
        client.deployment.sim.observed().upper_bounds.push((self.project, MAX_CALLS * once));
        let made = client.send(&request).await.filter(|reply| reply.status == 200 && reply.is_whole)?;
        let id = made.json()["id"].as_str()?.to_owned();
        let seen = SeenBatch { tenant: self.project, lines, is_bad: self.is_bad };
        client.deployment.sim.observed().batches.insert(id.clone(), seen);
        Some(id)
    }
}

/// Returns the body that submits a file.
pub(super) fn submission(file_id: &str, endpoint: &str) -> Value {
    let seconds: u64 = KEPT_SECONDS.parse().unwrap_or_default();
    let expires = json!({"anchor": "created_at", "seconds": seconds});
    json!({"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", "output_expires_after": expires})
}

/// Uploads the file of a batch, and returns its id.
pub(super) async fn upload(client: &mut Client, bearer: String, content: &str) -> Option<String> {
    let texts =
        [("purpose", "batch"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", KEPT_SECONDS)];
    let body = file_form(Some(("in.jsonl", content.as_bytes())), &texts);
    let upload = Request {
        method: "POST",
        path: files::PATH.to_owned(),
        bearer,
        headers: vec![("content-type", FORM.to_owned())],
        body: String::from_utf8_lossy(&body).into_owned(),
        ..Request::default()
    };
    let made = client.send(&upload).await.filter(|reply| reply.status == 200 && reply.is_whole)?;
    made.json()["id"].as_str().map(str::to_owned)
}
