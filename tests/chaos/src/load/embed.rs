//! Embeddings.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Load, prompt, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Embed {
    project: usize,
    text: u32,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Embed { project: tenant(rng), text: rng.random_range(0..6) })
}

#[async_trait]
impl Load for Embed {
    async fn run(&self, client: &mut Client) {
        let body = json!({"model": "embedding", "input": prompt::write(self.text)}).to_string();
        let ask =
            Ask { method: "POST", path: "/v1/embeddings".to_owned(), body, ..Ask::of_tenant(self.project, false) };
        client.insist(self.project, ask, None, 0, 2).await;
    }
}
