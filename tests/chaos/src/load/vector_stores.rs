//! A client makes a vector store of a file and searches it. Some files are detached or deleted, and some stores are deleted, while a worker
//! may be at work.

use std::time::Duration;

use async_trait::async_trait;
use kit::{FORM, file_form};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::files;
use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::SeenStore;

pub(crate) const PATH: &str = "/v1/vector_stores";

/// Times that a client's store may embed its file and its queries, with all attempts.
const MAX_CALLS: u64 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stays,
    Detach,
    DeleteFile,
    DeleteStore,
    AttachAgain,
}

#[derive(Debug)]
struct Keep {
    project: usize,
    words: usize,
    end: End,
    ends_after: Duration,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    const ENDS: [End; 6] = [End::Stays, End::Stays, End::Detach, End::DeleteFile, End::DeleteStore, End::AttachAgain];
    Box::new(Keep {
        project: draw_tenant(rng),
        words: rng.random_range(1..20),
        end: ENDS[rng.random_range(0..ENDS.len())],
        ends_after: Duration::from_millis(rng.random_range(0..8_000)),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Keep {
    async fn run(&self, client: &mut Client) {
        let content = format!("{}{}", prompt::answer_prefix(self.project), "so much to keep ".repeat(self.words));
        let bearer = client.permanent_key(self.project);
        let Some(file_id) = upload(client, &bearer, &content).await else { return };
        let once = prompt::cost(content.len() as u64 + prompt::MARGIN, 0);
        client.deployment.sim.observed().upper_bounds.push((self.project, MAX_CALLS * once));
        let send = |method, path: String, body: Value| Request {
            method,
            path,
            bearer: bearer.clone(),
            body: if body.is_null() { String::new() } else { body.to_string() },
            ..Request::of_tenant(self.project, false)
        };
        let create = Request {
            hangs_up_after: self.hangs_up_after,
            ..send("POST", PATH.to_owned(), json!({"name": "store", "file_ids": [file_id]}))
        };
        let Some(made) = client.send(&create).await.filter(|reply| reply.status == 200 && reply.is_whole) else {
            return;
        };
        let Some(store_id) = made.json()["id"].as_str().map(str::to_owned) else { return };
        let seen = SeenStore {
            tenant: self.project,
            file_id: file_id.clone(),
            is_gone: !matches!(self.end, End::Stays | End::AttachAgain),
        };
        client.deployment.sim.observed().stores.insert(store_id.clone(), seen);
        tokio::time::sleep(self.ends_after).await;
        let store = format!("{PATH}/{store_id}");
        let found = client.send(&send("POST", format!("{store}/search"), json!({"query": "so much to keep"}))).await;
        if let Some(found) = found.filter(|found| prompt::names_another_tenant(self.project, &found.body)) {
            let message = format!("a search of {store_id} found {}", String::from_utf8_lossy(&found.body));
            client.deployment.sim.observed().violation("vector_stores", message);
        }
        let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
        let end = match self.end {
            End::Stays => return,
            End::Detach => send("DELETE", format!("{store}/files/{file_id}"), Value::Null),
            End::DeleteFile => send("DELETE", format!("{}/{file_id}", files::PATH), Value::Null),
            End::DeleteStore => send("DELETE", store, Value::Null),
            End::AttachAgain => {
                send("POST", format!("{store}/files"), json!({"file_id": file_id, "chunking_strategy": strategy}))
            }
        };
        client.send(&end).await;
    }
}

/// Uploads a file, and returns its id.
pub(super) async fn upload(client: &mut Client, bearer: &str, content: &str) -> Option<String> {
    let body = file_form(Some(("a.txt", content.as_bytes())), &[("purpose", "assistants")]);
    let upload = Request {
        method: "POST",
        path: files::PATH.to_owned(),
        bearer: bearer.to_owned(),
        headers: vec![("content-type", FORM.to_owned())],
        body: String::from_utf8_lossy(&body).into_owned(),
        ..Request::default()
    };
    let made = client.send(&upload).await.filter(|reply| reply.status == 200 && reply.is_whole)?;
    made.json()["id"].as_str().map(str::to_owned)
}
