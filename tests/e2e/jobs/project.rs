//! A project with background responses, and the platform around its workers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kit::{Reply, TestApp, router_of, send};
use serde_json::{Value, json};
use shared::app::Components;
use shared::app::ErrorChain;
use shared::data::{Due, Queue};
use shared::model::clock::Timestamp;
use shared::model::project::{Limits, Policy, Project};
use shared::model::webhook::{Post, ReceiverAnswer, Receivers, RefusedUrl, SendError};

use crate::budget;

pub(crate) const RESPONSES: &str = "/v1/responses";

/// A background response of the model `priced` that may write 100 tokens.
pub(crate) fn background() -> Value {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 100, "background": true})
}

/// The cost of one: 10 input tokens at 1 micro-dollar, 5 output tokens at 2.
pub(crate) const COST: u64 = 20;

/// Longer than any lease, than the time after which a lost message is sent again, and than any delay between runs.
const A_WHILE_MS: u64 = 181_000;

pub(crate) struct Jobs {
    pub(crate) app: TestApp,
    pub(crate) project: Project,
    pub(crate) key: String,
    receivers: Arc<RecordingReceivers>,
}

/// Webhook receivers that take everything and remember it: the `webhook-id` and the body.
#[derive(Default)]
struct RecordingReceivers(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Receivers for RecordingReceivers {
    async fn check(&self, _: &str) -> Result<(), RefusedUrl> {
        Ok(())
    }

    async fn post(&self, post: &Post) -> Result<ReceiverAnswer, SendError> {
        self.0.lock().unwrap().push((post.id.clone(), post.body.clone()));
        Ok(ReceiverAnswer { status: 200, retry_after: None })
    }
}

/// Webhook endpoints of the project that want every event.
const ENDPOINTS: usize = 2;

impl Jobs {
    pub(crate) async fn new() -> Self {
        Self::with(budget(1.0)).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::of(TestApp::new().await, limits).await
    }

    pub(crate) async fn of(app: TestApp, limits: Limits) -> Self {
        Self::of_policy(app, limits, Policy::default()).await
    }

    pub(crate) async fn of_policy(app: TestApp, limits: Limits, policy: Policy) -> Self {
        let (project, key) = app.project(limits, policy).await;
        let jobs = Self { app, project, key, receivers: Arc::default() };
        let all = ["response.completed", "response.failed", "response.incomplete", "response.cancelled"];
        for n in 0..ENDPOINTS {
            let body =
                json!({"name": "a", "url": format!("https://receiver-{n}.example/"), "event_types": all}).to_string();
            let router = router_of(&jobs.deliverer());
            let made = send(&router, "POST", "/v1/webhook_endpoints", &jobs.key, &[], body).await;
            assert_eq!(made.status, 200, "{}", made.text());
        }
        jobs
    }

    /// A process that delivers to this project's receivers.
    fn deliverer(&self) -> Components {
        self.app.instance_with_receivers(self.receivers.clone())
    }

    pub(crate) async fn post(&self, body: &Value, headers: &[(&str, &str)]) -> Reply {
        send(&self.app.router(), "POST", RESPONSES, &self.key, headers, body.to_string()).await
    }

    /// Sends any request of the project, which succeeds.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = send(&self.app.router(), method, path, &self.key, &[], body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()
    }

    /// Accepts a job and returns its id.
    pub(crate) async fn accept(&self) -> String {
        let reply = self.post(&background(), &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, id: &str) -> Reply {
        send(&self.app.router(), "GET", &format!("{RESPONSES}/{id}"), &self.key, &[], "").await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Reply {
        send(&self.app.router(), "POST", &format!("{RESPONSES}/{id}/cancel"), &self.key, &[], "").await
    }

    /// The events of a response, as any instance gives them.
    pub(crate) async fn stream(&self, id: &str, after: Option<u64>) -> String {
        let after = after.map(|number| format!("&starting_after={number}")).unwrap_or_default();
        let path = format!("{RESPONSES}/{id}?stream=true{after}");
        send(&self.app.router(), "GET", &path, &self.key, &[], "").await.text().to_owned()
    }

    pub(crate) async fn books(&self) -> (u64, u64) {
        self.app.books(&self.project).await
    }

    /// Gives the visible messages of both queues to workers of a new process. Returns how many there were.
    pub(crate) async fn work(&self) -> usize {
        let instance = self.app.instance();
        self.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await
            + self.deliver().await
    }

    async fn deliver(&self) -> usize {
        let instance = self.deliverer();
        self.app.work_once(Queue::Deliver, |event| deliver::job(event, instance.deliverer())).await
    }

    /// Checks that every endpoint received the event of the end of a background response, perhaps more than once.
    async fn check_received(&self, id: &str, status: &str) {
        while self.deliver().await > 0 {}
        let receivers = self.receivers.0.lock().unwrap();
        let about: BTreeSet<_> = receivers.iter().filter(|(_, body)| body.contains(id)).collect();
        assert_eq!(about.len(), ENDPOINTS, "{id}: {about:?}");
        let event = format!(r#""type":"response.{status}""#);
        assert!(about.iter().all(|(_, body)| body.contains(&event)), "{event}: {about:?}");
        assert_eq!(about.iter().map(|(_, body)| body).collect::<BTreeSet<_>>().len(), 1, "one event: {about:?}");
    }

    pub(crate) async fn sweep(&self) {
        if let Err(error) = self.app.instance().sweeper().sweep().await {
            panic!("the sweep failed: {}", ErrorChain(&error));
        }
    }

    /// Lets everything happen that has to happen: messages are worked on, time passes, the sweeper comes, until nothing
    /// of a response or a delivery is due any more.
    pub(crate) async fn settle(&self) {
        for _ in 0..200 {
            while self.work().await > 0 {}
            if self.due().await.is_empty() {
                return;
            }
            self.app.clock.advance_ms(A_WHILE_MS);
            self.sweep().await;
        }
        panic!("still due: {:?}", self.due().await);
    }

    /// The responses and deliveries that are due, now or at any time.
    pub(crate) async fn due(&self) -> Vec<Due> {
        let mut due = Vec::new();
        for shard in 0..shared::data::DUE_SHARDS {
            let all = self.app.stores.due().due(shard, Timestamp(u64::MAX / 2)).await.unwrap();
            due.extend(all.into_iter().filter(|due| !matches!(due, Due::Meter(_))));
        }
        due
    }

    /// Checks a response that has ended: its status, its events without a gap, its hold settled. Returns it.
    pub(crate) async fn ended(&self, id: &str, status: &str) -> Value {
        let response = self.get(id).await.json();
        assert_eq!(response["status"], status, "{response}");
        let stream = self.stream(id, None).await;
        let numbers = numbers(&stream);
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{stream}");
        let last = names(&stream).pop().unwrap_or_default();
        let terminal = ["response.completed", "response.incomplete", "response.failed"];
        match status {
            "cancelled" => assert!(!terminal.contains(&last.as_str()), "{stream}"),
            _ => assert_eq!(last, format!("response.{status}"), "{stream}"),
        }
        let ends = names(&stream).iter().filter(|name| terminal.contains(&name.as_str())).count();
        assert_eq!(ends, usize::from(status != "cancelled"), "it ends once: {stream}");
        assert_eq!(self.books().await.1, 0, "nothing is held any more");
        if response["background"] == true {
            self.check_received(id, status).await;
        }
        response
    }
}

/// The names of the events of a stream.
pub(crate) fn names(stream: &str) -> Vec<String> {
    stream.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

/// The sequence numbers of a stream.
pub(crate) fn numbers(stream: &str) -> Vec<u64> {
    events(stream).iter().filter_map(|event| event["sequence_number"].as_u64()).collect()
}

/// The events of a stream.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| serde_json::from_str(json).unwrap()).collect()
}

/// The id of the response that a stream is about.
pub(crate) fn created(stream: &str) -> String {
    events(stream)[0]["response"]["id"].as_str().unwrap().to_owned()
}
