//! The attacks of the hostile tenant. Each sends bounded numbers of requests, so that the simulation stays fast.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use rand::RngExt as _;
use serde_json::{Value, json};

use super::{MODEL, NUMBER, prompts};
use crate::client::{Client, Request};
use crate::invariants::tenancy;
use crate::load::responses::response_id;
use crate::load::{Action, chat, messages, responses};
use crate::reply::Reply;

/// Calls of one burst.
const BURST: usize = 12;
/// Jobs that hang. Without slots, they would keep all invocations of the worker.
const JOBS: usize = 14;
/// Requests that follow the same stream, or wait for the same key: more than its limit.
const CROWD: usize = 14;
/// How long each of a crowd waits.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Attack {
    /// Calls whose prompts let the provider take longer than its model may.
    Stalls,
    /// Calls that a provider refuses with 400, and calls that break it with 500.
    BadRequests,
    /// Calls and streams that it hangs up on.
    HangUps,
    /// Jobs on a model that hangs.
    HungJobs,
    /// Followers of one stream.
    Followers,
    /// Calls with one idempotency key.
    OneKey,
    /// Large bodies, in calls and in jobs.
    LargeBodies,
    /// Keys that do not exist, ids of other tenants, calls that its budget cannot pay.
    Guesses,
}

impl Attack {
    pub(crate) const ALL: [Self; 8] = [
        Self::Stalls,
        Self::BadRequests,
        Self::HangUps,
        Self::HungJobs,
        Self::Followers,
        Self::OneKey,
        Self::LargeBodies,
        Self::Guesses,
    ];
}

#[async_trait]
impl Action for Attack {
    async fn run(&self, client: &mut Client) {
        match self {
            Self::Stalls => stall(client).await,
            Self::BadRequests => send_bad_requests(client).await,
            Self::HangUps => hang_up(client).await,
            Self::HungJobs => drop(create_jobs(client, JOBS).await),
            Self::Followers => follow(client).await,
            Self::OneKey => share_a_key(client).await,
            Self::LargeBodies => send_large_bodies(client).await,
            Self::Guesses => guess(client).await,
        }
    }
}

/// A call of the hostile tenant with one of its keys.
fn call(client: &Client, path: &str, body: &Value) -> Request {
    let bearer = key(client, 0);
    let of_tenant =
        if body["background"] == true { Request::of_job(NUMBER) } else { Request::of_tenant(NUMBER, false) };
    Request { method: "POST", path: path.to_owned(), bearer, body: body.to_string(), ..of_tenant }
}

fn key(client: &Client, n: usize) -> String {
    let observed = client.deployment.sim.observed();
    observed.hostile.as_ref().map(|hostile| hostile.keys[n].clone()).unwrap_or_default()
}

fn chat_call(client: &mut Client, content: &str, stream: bool) -> Request {
    // Both APIs take the same body.
    let path = if client.rng.random_bool(0.7) { chat::PATH } else { messages::PATH };
    let messages = json!([{"role": "user", "content": content}]);
    call(client, path, &json!({"model": "chat", "messages": messages, "max_tokens": 40, "stream": stream}))
}

/// Sends requests at the same time. They go to one instance if `instance` names it.
async fn send_all(client: &mut Client, instance: Option<u32>, requests: Vec<Request>) -> Vec<Option<Reply>> {
    let sent = requests.into_iter().map(|request| {
        let mut client = client.fork();
        async move {
            match instance {
                Some(instance) => client.send_to(instance, &request).await,
                None => client.send(&request).await,
            }
        }
    });
    join_all(sent.collect::<Vec<_>>()).await
}

/// Waves of calls to one instance, whose breakers count for themselves.
async fn send_waves(client: &mut Client, prompt: &str, waves: usize) {
    let instance = client.rng.random_range(0..3);
    for _ in 0..waves {
        let calls = (0..BURST).map(|n| chat_call(client, prompt, n % 2 == 0)).collect();
        send_all(client, Some(instance), calls).await;
    }
}

async fn stall(client: &mut Client) {
    send_waves(client, prompts::STALL, 2).await;
}

async fn send_bad_requests(client: &mut Client) {
    send_waves(client, prompts::REFUSE, 2).await;
    send_waves(client, prompts::CRASH, 1).await;
}

async fn hang_up(client: &mut Client) {
    for _ in 0..2 {
        let mut calls: Vec<_> = (0..BURST).map(|n| chat_call(client, "Anything.", n % 2 == 0)).collect();
        for call in &mut calls {
            call.hangs_up_after = Some(Duration::from_millis(client.rng.random_range(1..1_500)));
        }
        send_all(client, None, calls).await;
    }
}

/// Creates jobs that hang. Returns the ids of those that were accepted.
async fn create_jobs(client: &mut Client, count: usize) -> Vec<String> {
    let body = json!({"model": MODEL, "input": prompts::HANG, "max_output_tokens": 20, "background": true});
    let create = call(client, responses::PATH, &body);
    let mut created = Vec::new();
    // One after another, so that each message is alone in its batch and keeps an invocation of its own.
    for _ in 0..count {
        let reply = client.send(&create).await;
        created.extend(reply.and_then(|reply| response_id(&reply.body)));
    }
    created
}

async fn follow(client: &mut Client) {
    let Some(id) = create_jobs(client, 1).await.pop() else { return };
    let (bearer, path) = (key(client, 0), format!("{}/{id}?stream=true", responses::PATH));
    let get = Request { method: "GET", path, bearer, hangs_up_after: Some(PATIENCE), ..Request::default() };
    send_all(client, None, vec![get; CROWD]).await;
}

async fn share_a_key(client: &mut Client) {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": prompts::HANG}], "max_tokens": 20});
    let mut call = call(client, chat::PATH, &body);
    call.headers.push(("idempotency-key", "hostile".to_owned()));
    call.hangs_up_after = Some(PATIENCE);
    send_all(client, None, vec![call; CROWD]).await;
}

async fn send_large_bodies(client: &mut Client) {
    let noise = super::super::background::noise(&mut client.rng);
    let body = json!({"model": "chat", "input": noise, "max_output_tokens": 20, "background": true});
    let job = call(client, responses::PATH, &body);
    let calls = vec![job.clone(), job, chat_call(client, &noise, false)];
    send_all(client, None, calls).await;
}

async fn guess(client: &mut Client) {
    let mut unpaid = chat_call(client, "Anything.", false);
    unpaid.bearer = key(client, 1);
    let valid = key(client, 0);
    let mut unknown = chat_call(client, "Anything.", false);
    unknown.bearer = format!("{}0", &valid[..valid.len() - 1]);
    let mut calls = vec![unpaid; BURST / 2];
    calls.extend(vec![unknown; BURST / 2]);
    send_all(client, None, calls).await;
    let foreign = client.draw_job(0).map(|id| tenancy::foreign_requests(&id, &valid)).unwrap_or_default();
    for request in foreign {
        if let Some(reply) = client.send(&request).await {
            tenancy::check_not_found(&mut client.deployment.sim.observed(), &request, reply.status);
        }
    }
}
