//! A client uploads a file in parts, sends one of them twice, and completes the upload twice at the same moment. Some cancel it at that
//! moment, and some leave it.

use async_trait::async_trait;
use kit::{FORM, form};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::items::send_at_once;
use super::{Action, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::SeenFile;
use crate::reply::Reply;

const PATH: &str = "/v1/uploads";

#[derive(Debug)]
struct Upload {
    project: usize,
    words: usize,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    CompletedAndCancelled,
    Left,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let end = match rng.random_range(0..10) {
        0..5 => End::Completed,
        5..8 => End::CompletedAndCancelled,
        _ => End::Left,
    };
    Box::new(Upload { project: draw_tenant(rng), words: rng.random_range(1..100), end })
}

#[async_trait]
impl Action for Upload {
    async fn run(&self, client: &mut Client) {
        let parts = [prompt::answer_prefix(self.project), "so much to send ".repeat(self.words)];
        let content = parts.concat();
        let bearer = client.permanent_key(self.project);
        let post = |path: String, body: String| Request {
            method: "POST",
            path,
            bearer: bearer.clone(),
            body,
            ..Request::default()
        };
        let upload = json!({
            "filename": "a.txt", "purpose": "user_data", "bytes": content.len(), "mime_type": "text/plain",
        });
        let Some(id) = made(client, &post(PATH.to_owned(), upload.to_string())).await else { return };
        let path = format!("{PATH}/{id}");
        let mut part_ids = Vec::new();
        for part in [&parts[0], &parts[0], &parts[1]] {
            let body = form(&[("data", Some("a"), part.as_bytes())]);
            let mut request = post(format!("{path}/parts"), String::from_utf8_lossy(&body).into_owned());
            request.headers.push(("content-type", FORM.to_owned()));
            let Some(part_id) = made(client, &request).await else { return };
            part_ids.push(part_id);
        }
        // The first one was sent again.
        let complete = json!({"part_ids": part_ids[1..]}).to_string();
        let mut requests = vec![post(format!("{path}/complete"), complete.clone()); 2];
        match self.end {
            End::Left => return,
            End::Completed => {}
            End::CompletedAndCancelled => requests.insert(1, post(format!("{path}/cancel"), String::new())),
        }
        let mut replies: Vec<Reply> = send_at_once(client, requests).await.into_iter().flatten().collect();
        if self.end == End::Completed {
            replies.extend(client.send(&post(format!("{path}/complete"), complete)).await);
        }
        self.note(client, &id, content, &replies);
    }
}

impl Upload {
    /// Notes the file of the upload. There must be one at most, and none if it was cancelled.
    fn note(&self, client: &Client, upload: &str, content: String, replies: &[Reply]) {
        let answers = replies.iter().filter(|reply| reply.status == 200 && reply.is_whole).map(Reply::json);
        let ends: Vec<_> = answers.map(|answer| (answer["status"].clone(), answer["file"]["id"].clone())).collect();
        let mut observed = client.deployment.sim.observed();
        if ends.iter().any(|end| *end != ends[0]) {
            observed.violation("files", format!("{upload} ended in several ways: {ends:?}"));
        }
        if let Some(file) = ends.first().and_then(|(_, file)| file.as_str()) {
            let seen = SeenFile { tenant: self.project, content, is_gone: false };
            observed.files.insert(file.to_owned(), seen);
        }
    }
}

/// Sends a request until it is answered, a few times. Returns the id of the thing that it made.
async fn made(client: &mut Client, request: &Request) -> Option<String> {
    for _ in 0..3 {
        if let Some(reply) = client.send(request).await.filter(|reply| reply.status == 200 && reply.is_whole) {
            return Some(reply.json()["id"].as_str()?.to_owned());
        }
    }
    None
}
