//! A client asks for embeddings.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Action, draw_tenant, prompt};
use crate::client::{Client, Request};

pub(crate) const PATH: &str = "/v1/embeddings";

#[derive(Debug)]
struct Embed {
    project: usize,
    text: u32,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Embed { project: draw_tenant(rng), text: rng.random_range(0..6) })
}

#[async_trait]
impl Action for Embed {
    async fn run(&self, client: &mut Client) {
        let body = json!({"model": "embedding", "input": prompt::text(self.text)}).to_string();
        let request =
            Request { method: "POST", path: PATH.to_owned(), body, ..Request::of_tenant(self.project, false) };
        client.call_until_answered(self.project, request, None, 0, 2).await;
    }
}
