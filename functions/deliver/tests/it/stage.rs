//! A project with an endpoint, its receiver, and a queue that hands messages out when the clock says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use kit::{Hook, TestApp};
use outbound::Options;
use serde_json::{Value, json};
use shared::app::Components;
use shared::app::webhooks::NewEndpoint;
use shared::app::{Gateway, Parts};
use shared::data::{QueueUrls, Queues, Stores};
use shared::edge::worker::SqsEvent;
use shared::model::catalog::Catalog;
use shared::model::clock::{Clock, Timestamp};
use shared::model::message::DeliveryKey;
use shared::model::project::{Caller, Limits, Policy};
use shared::model::webhook::{Delivery, Endpoint, EventType, EventTypes, WebhookEvent};

pub(crate) struct Stage {
    pub(crate) app: TestApp,
    pub(crate) hook: Hook,
    pub(crate) queue: Queue,
    pub(crate) caller: Caller,
    pub(crate) instance: Components,
    pub(crate) clock: Clock,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Options { permit_loopback: true, ..Options::default() }).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let app = TestApp::new().await;
        let clock = app.clock.clone();
        let hook = Hook::start(&clock).await;
        let queue = Queue { clock: clock.clone(), ..Queue::default() };
        let (project, _) = app.project(Limits::default(), Policy::default()).await;
        let caller = Caller { project, api_key_id: "key_1".to_owned() };
        let instance = instance(&app, &queue, options);
        Self { app, hook, queue, caller, instance, clock }
    }

    /// Another instance of the worker.
    pub(crate) fn other_gateway(&self) -> Components {
        self.gateway_with(Options { permit_loopback: true, ..Options::default() })
    }

    pub(crate) fn gateway_with(&self, options: Options) -> Components {
        instance(&self.app, &self.queue, options)
    }

    pub(crate) async fn endpoint(&self, url: &str) -> Endpoint {
        let event_types = EventTypes::try_from(vec![EventType::ResponseCompleted.name().to_owned()]).unwrap();
        let new = NewEndpoint { url: url.to_owned(), event_types, description: None };
        self.instance.create_endpoint(&self.caller, new).await.unwrap()
    }

    /// An endpoint at the receiver and the delivery of an event to it, whose message is sent.
    pub(crate) async fn announced(&self) -> (Endpoint, DeliveryKey) {
        let endpoint = self.endpoint(&self.hook.url()).await;
        let key = self.announce(&endpoint, &self.event("resp_1")).await;
        (endpoint, key)
    }

    pub(crate) fn event(&self, response_id: &str) -> WebhookEvent {
        WebhookEvent::new(EventType::ResponseCompleted, response_id, self.clock.now())
    }

    /// Announces an event; returns the key of its delivery to an endpoint.
    pub(crate) async fn announce(&self, endpoint: &Endpoint, event: &WebhookEvent) -> DeliveryKey {
        self.instance.announce(&self.caller.project.id, event, None).await.unwrap();
        Delivery::new(event, endpoint, None, self.clock.now()).key
    }

    pub(crate) async fn delivery(&self, key: &DeliveryKey) -> Delivery {
        self.app.stores.deliveries().get(key, self.clock.now()).await.unwrap().unwrap()
    }

    /// `pending`, `delivered`, or why it failed.
    pub(crate) async fn outcome(&self, key: &DeliveryKey) -> String {
        match self.delivery(key).await.state {
            shared::model::webhook::State::Failed(reason) => reason.name().to_owned(),
            other => other.name().to_owned(),
        }
    }

    /// Hands the worker every message that is visible now. Returns how many.
    pub(crate) async fn work(&self) -> usize {
        let visible = self.queue.take();
        let count = visible.len();
        if count > 0 {
            let answer = deliver::job(sqs_event(&visible), Arc::clone(&self.instance)).await;
            assert!(answer.batch_item_failures.is_empty(), "{answer:?}");
        }
        count
    }

    /// Moves the clock to the next thing that happens to a delivery, a message or the sweep, and lets it happen.
    pub(crate) async fn step(&self, key: &DeliveryKey) {
        let due_at = self.delivery(key).await.pending().expect("it is pending").due_at;
        let next = self.queue.next().map_or(due_at, |message| message.min(due_at));
        self.clock.advance_ms(self.clock.now().until(next));
        self.instance.sweeper().sweep().await.unwrap();
        self.work().await;
    }
}

fn instance(app: &TestApp, queue: &Queue, options: Options) -> Components {
    Gateway::new(Parts {
        stores: Stores { queues: queue.queues(), ..app.stores.clone() },
        catalog: Arc::new(Catalog::parse("").unwrap()),
        providers: HashMap::new(),
        clock: app.clock.clone(),
        receivers: Some(app.receivers(options)),
        admin_key: None,
    })
}

pub(crate) fn sqs_event(bodies: &[String]) -> SqsEvent {
    let records = bodies.iter().enumerate().map(|(n, body)| json!({ "messageId": n.to_string(), "body": body }));
    serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).unwrap()
}

/// What was sent, with the time from which it is seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    clock: Clock,
    messages: Arc<Mutex<Vec<(Timestamp, String)>>>,
    broken: Arc<Mutex<bool>>,
}

impl Queue {
    /// Whether sends are lost from now on.
    pub(crate) fn lose(&self, lost: bool) {
        *self.broken.lock().unwrap() = lost;
    }

    /// The messages that are seen by now.
    pub(crate) fn take(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut messages = self.messages.lock().unwrap();
        let (visible, kept) = messages.drain(..).partition(|(from, _)| *from <= now);
        *messages = kept;
        visible.into_iter().map(|(_, body)| body).collect()
    }

    /// When the next message is seen.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.messages.lock().unwrap().iter().map(|(from, _)| *from).min()
    }

    fn queues(&self) -> Queues {
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let urls = QueueUrls { deliver: Some("https://sqs.test/deliver".to_owned()), ..QueueUrls::default() };
        Queues::new(aws_sdk_sqs::Client::from_conf(config), urls)
    }
}

impl HttpConnector for Queue {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if *self.broken.lock().unwrap() {
            return HttpConnectorFuture::ready(Err(ConnectorError::io("the connection broke".into())));
        }
        let sent: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let from = self.clock.now().plus_ms(sent["DelaySeconds"].as_u64().unwrap() * 1_000);
        self.messages.lock().unwrap().push((from, sent["MessageBody"].as_str().unwrap().to_owned()));
        let body = json!({ "MessageId": "m", "MD5OfMessageBody": "d" }).to_string();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))))
    }
}
