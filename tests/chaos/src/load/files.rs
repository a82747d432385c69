//! A client uploads a file and reads it. Some files expire, and some are deleted twice at the same moment.

use std::time::Duration;

use async_trait::async_trait;
use kit::{FORM, file_form};
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::items::send_at_once;
use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::SeenFile;

pub(crate) const PATH: &str = "/v1/files";

#[derive(Debug)]
struct Upload {
    project: usize,
    words: usize,
    expires: bool,
    deletes: bool,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Upload {
        project: draw_tenant(rng),
        words: rng.random_range(0..200),
        expires: rng.random_bool(0.3),
        deletes: rng.random_bool(0.4),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Upload {
    async fn run(&self, client: &mut Client) {
        let content = format!("{}{}", prompt::answer_prefix(self.project), "so much to keep ".repeat(self.words));
        let mut texts = vec![("purpose", "user_data")];
        if self.expires {
            texts.extend([("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]);
        }
        let body = file_form(Some(("a.txt", content.as_bytes())), &texts);
        let bearer = client.permanent_key(self.project);
        let upload = Request {
            method: "POST",
            path: PATH.to_owned(),
            bearer: bearer.clone(),
            headers: vec![("content-type", FORM.to_owned())],
            body: String::from_utf8_lossy(&body).into_owned(),
            hangs_up_after: self.hangs_up_after,
            ..Request::default()
        };
        let Some(made) = client.send(&upload).await.filter(|reply| reply.status == 200 && reply.is_whole) else {
            return;
        };
        let Some(id) = made.json()["id"].as_str().map(str::to_owned) else { return };
        let seen = SeenFile { tenant: self.project, content: content.clone(), is_gone: self.expires || self.deletes };
        client.deployment.sim.observed().files.insert(id.clone(), seen);
        let path = format!("{PATH}/{id}");
        let request = |method, path: &str| Request {
            method,
            path: path.to_owned(),
            bearer: bearer.clone(),
            ..Request::default()
        };
        let read = client.send(&request("GET", &format!("{path}/content"))).await;
        if let Some(read) = read.filter(|read| read.status == 200 && read.is_whole && read.body != content.as_bytes()) {
            let message = format!("{id} reads as {:?}", read.body);
            client.deployment.sim.observed().violation("files", message);
        }
        if self.deletes {
            send_at_once(client, vec![request("DELETE", &path), request("DELETE", &path)]).await;
        }
    }
}
