//! A client makes a conversation of its own, adds items to it and deletes some, each twice at the same moment. Half of them
//! delete the conversation in the end, while another request adds to it.

use async_trait::async_trait;
use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Action, draw_tenant};
use crate::client::{Client, Request};
use crate::reply::Reply;

const CONVERSATIONS: &str = "/v1/conversations";

#[derive(Debug)]
struct Items {
    project: usize,
    deletes: bool,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Items { project: draw_tenant(rng), deletes: rng.random_bool(0.5) })
}

#[async_trait]
impl Action for Items {
    async fn run(&self, client: &mut Client) {
        let bearer = client.permanent_key(self.project);
        let request = |method, path: &str, items: &[&str]| {
            let body = if items.is_empty() { String::new() } else { with_items(items).to_string() };
            Request { method, path: path.to_owned(), bearer: bearer.clone(), body, ..Request::default() }
        };
        let made = client.send(&request("POST", CONVERSATIONS, &["a", "b"])).await;
        let Some(id) = made.and_then(|made| Some(made.json()["id"].as_str()?.to_owned())) else { return };
        let path = format!("{CONVERSATIONS}/{id}");
        let (items, first) = (format!("{path}/items"), format!("{path}/items/msg_a"));
        let changes = [
            ("POST", &items, &["c", "d"][..]),
            ("POST", &items, &["d"]),
            ("DELETE", &first, &[]),
            ("DELETE", &first, &[]),
        ];
        send_at_once(client, changes.map(|(method, path, items)| request(method, path, items)).into()).await;
        if self.deletes {
            let changes = [("DELETE", &path, &[][..]), ("POST", &items, &["e"]), ("DELETE", &path, &[])];
            send_at_once(client, changes.map(|(method, path, items)| request(method, path, items)).into()).await;
        }
    }
}

/// Sends requests at the same moment. Returns their answers in the same order; `None` for those that were not answered.
pub(super) async fn send_at_once(client: &mut Client, requests: Vec<Request>) -> Vec<Option<Reply>> {
    let sent = requests.into_iter().map(|request| {
        let mut client = client.fork();
        async move { client.send(&request).await }
    });
    join_all(sent.collect::<Vec<_>>()).await
}

fn with_items(ids: &[&str]) -> Value {
    let item = |id: &&str| json!({"type": "message", "id": format!("msg_{id}"), "role": "user", "content": "Hello"});
    json!({"items": ids.iter().map(item).collect::<Vec<_>>()})
}
