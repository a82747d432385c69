//! A project with a webhook receiver, and the worker that delivers to it.

use kit::{Fault, Hook, TestApp};
use outbound::Options;
use shared::app::Components;
use shared::app::KeyUse;
use shared::app::webhooks::{Announcer, NewEndpoint};
use shared::data::Queue;
use shared::edge::worker::SqsEvent;
use shared::model::clock::Clock;
use shared::model::message::DeliveryKey;
use shared::model::project::{Caller, Limits, Name, Policy};
use shared::model::scope::Scope;
use shared::model::webhook::{Delivery, DeliveryState, EventType, EventTypes, WebhookEndpoint, WebhookEvent};

pub(crate) struct Deliveries {
    pub(crate) app: TestApp,
    pub(crate) hook: Hook,
    pub(crate) caller: Caller,
    /// The process whose worker gets the messages.
    pub(crate) instance: Components,
    pub(crate) clock: Clock,
}

impl Deliveries {
    pub(crate) async fn new() -> Self {
        Self::with(Options { permit_loopback: true, ..Options::default() }).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let app = TestApp::builder().receivers(options).build().await;
        let clock = app.clock.clone();
        let hook = Hook::start(&clock).await;
        let (_, key) = app.project(Limits::default(), Policy::default()).await;
        let caller = app
            .instance()
            .auth()
            .identify(Some(&key), KeyUse { scope: Scope::WebhooksWrite, address: None })
            .await
            .unwrap();
        Self { instance: app.instance(), app, hook, caller, clock }
    }

    pub(crate) async fn endpoint(&self, url: &str) -> WebhookEndpoint {
        let event_types = EventTypes::try_from(vec![EventType::ResponseCompleted.name().to_owned()]).unwrap();
        let new = NewEndpoint { url: url.to_owned(), event_types, name: Name::try_from("Orders".to_owned()).unwrap() };
        self.instance.webhooks().create(&self.caller, new).await.unwrap()
    }

    /// Makes an endpoint at the receiver, and announces an event to it. The message for the delivery is sent.
    pub(crate) async fn announced(&self) -> (WebhookEndpoint, DeliveryKey) {
        let endpoint = self.endpoint(&self.hook.url()).await;
        let key = self.announce(&endpoint, &self.event("resp_1")).await;
        (endpoint, key)
    }

    pub(crate) fn event(&self, response_id: &str) -> WebhookEvent {
        WebhookEvent::new(EventType::ResponseCompleted, response_id, self.clock.now())
    }

    /// Announces an event. Returns the key of its delivery to an endpoint.
    pub(crate) async fn announce(&self, endpoint: &WebhookEndpoint, event: &WebhookEvent) -> DeliveryKey {
        let announcer = Announcer::new(&self.app.stores, self.clock.clone());
        announcer.announce(&self.caller.project.id, event, None, 30 * 86_400).await.unwrap();
        Delivery::new(event, endpoint, None, 30 * 86_400, self.clock.now()).key
    }

    pub(crate) async fn delivery(&self, key: &DeliveryKey) -> Delivery {
        self.app.stores.deliveries().get(key, self.clock.now()).await.unwrap().unwrap()
    }

    /// `pending`, `delivered`, or the reason of the failure.
    pub(crate) async fn outcome(&self, key: &DeliveryKey) -> String {
        match self.delivery(key).await.state {
            DeliveryState::Failed(reason) => reason.name().to_owned(),
            other => other.name().to_owned(),
        }
    }

    /// Whether messages are lost from now on.
    pub(crate) fn lose_messages(&self, lost: bool) {
        let fault = move |operation: &str| {
            if lost && operation == "SendMessage" { Fault::Lose } else { Fault::None }
        };
        self.app.faults.set(fault);
    }

    pub(crate) async fn sweep(&self) {
        self.instance.sweeper().sweep().await.unwrap();
    }

    /// Passes messages to the worker, none of which may fail.
    pub(crate) async fn deliver(&self, event: SqsEvent) {
        let response = deliver::job(event, self.instance.deliverer()).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }

    /// Passes every message that is visible now to the worker. Returns their number.
    pub(crate) async fn work(&self) -> usize {
        let worker = async |event| {
            let response = deliver::job(event, self.instance.deliverer()).await;
            assert!(response.batch_item_failures.is_empty(), "{response:?}");
            response
        };
        self.app.work_once(Queue::Deliver, worker).await
    }

    /// Moves the clock until a message is visible or the delivery is due, then sweeps and works.
    pub(crate) async fn step(&self, key: &DeliveryKey) {
        let due_at = self.delivery(key).await.pending().expect("it is pending").due_at;
        loop {
            let counts = self.app.queues.counts(Queue::Deliver.name()).unwrap();
            let until_due = self.clock.now().until(due_at);
            if counts.visible > 0 || until_due == 0 {
                break;
            }
            // A queue delays messages by whole seconds.
            self.clock.advance_ms(if counts.delayed > 0 { until_due.min(SECOND_MS) } else { until_due });
        }
        self.sweep().await;
        self.work().await;
    }
}

const SECOND_MS: u64 = 1_000;
