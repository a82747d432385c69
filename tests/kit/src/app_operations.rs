//! Projects of a [`TestApp`], the work of the platform around it, and looks into its stores.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use axum::http::Request;
use shared::data::Queue;
use shared::edge::worker::{SqsBatchResponse, SqsEvent};
use shared::model::admin_key::{AdminKey, AdminScope};
use shared::model::audit::{Actor, AuditAction, AuditEntry};
use shared::model::id;
use shared::model::key_rights::{AddressRange, KeyRights};
use shared::model::key_text::{AdminKeySecret, ApiKeySecret};
use shared::model::meter::{MeterKey, Run, RunName, Scope, Shard};
use shared::model::project::{ApiKey, Limits, Policy, Project};
use shared::model::usage::UsageCount;

use crate::{TestApp, key_check, new_key};

impl TestApp {
    /// Puts an object to a URL that is signed for it, as any HTTP client would. Returns the status.
    pub async fn put_to_bucket(&self, url: &str, body: &str) -> u16 {
        let request = Request::put(url).header("content-length", body.len()).body(SdkBody::from(body));
        let request = HttpRequest::try_from(request.expect("the URL is one")).expect("the request is one");
        let answer = self.connectors().s3.call(request).await.expect("the bucket answers");
        answer.status().as_u16()
    }

    /// Makes a project with one key. Returns both.
    pub async fn project(&self, limits: Limits, policy: Policy) -> (Project, String) {
        let project = Project {
            id: id::new("proj_"),
            name: "Test".to_owned(),
            created_at: self.clock.now().seconds(),
            archived_at: None,
            purge: None,
            limits,
            revision: 1,
            policy,
        };
        local::provision_project(&self.stores, &project).await.expect("the project is created");
        let key = new_key(&project.id);
        self.provision_key(&key).await;
        (project, key.secret().expose().to_owned())
    }

    /// Makes a project without limits, and a key with these. Returns both.
    pub async fn project_with_limited_key(&self, limits: Limits, policy: Policy) -> (Project, String) {
        let (project, key) = self.project(Limits::default(), policy).await;
        self.change_key(&ApiKeySecret::parse(&key).expect("it is a key"), |stored| stored.limits = limits).await;
        (project, key)
    }

    /// Makes a key that is taken from these addresses only.
    pub async fn restricted_key(&self, project_id: &str, range: &str) -> String {
        let key = new_key(project_id);
        self.provision_key(&key).await;
        let allowed_ips = Some(vec![AddressRange::parse("allowed_ips", range).expect("it is a range")]);
        self.change_key(&key, |stored| stored.rights = KeyRights { allowed_ips, ..KeyRights::default() }).await;
        key.secret().expose().to_owned()
    }

    /// Makes an admin key. Returns its id and the key.
    pub async fn admin_key(&self, scope: AdminScope) -> (String, String) {
        let secret = AdminKeySecret::generate(&key_check());
        let key = AdminKey {
            id: id::new("key_"),
            hash: secret.hash(),
            name: "test".to_owned(),
            redacted_value: secret.redact(),
            created_at: self.clock.now().seconds(),
            expires_at: None,
            scope,
        };
        assert!(self.stores.admin_keys().create(&key, None).await.expect("the key is written").is_written());
        (key.id, secret.secret().expose().to_owned())
    }

    async fn change_key(&self, key: &ApiKeySecret, change: impl FnOnce(&mut ApiKey)) {
        let keys = self.stores.api_keys();
        let mut stored = keys.by_hash(&key.hash()).await.expect("the key is read").expect("the key was made");
        change(&mut stored);
        stored.revision += 1;
        let by = Actor { key_id: "key_test".to_owned(), address: None, request_id: "req_test".to_owned() };
        let entry = AuditEntry::new(&by, AuditAction::ApiKeyUpdated, &stored.id, self.clock.now());
        assert!(keys.replace(&stored, &entry).await.expect("the key is written").is_written());
    }

    /// Makes a key valid.
    pub async fn provision_key(&self, key: &ApiKeySecret) {
        local::provision_key(&self.stores, &self.clock, key, "test").await.expect("the key is created");
    }

    /// The event that a worker gets of all visible messages of its queue. They are hidden from then on.
    #[must_use]
    pub fn take_messages(&self, queue: Queue) -> SqsEvent {
        local::event_of(queue.name(), self.queues.receive(queue.name(), usize::MAX).expect("the queue is known"))
    }

    /// Deletes the messages of an event that its worker processed, as the platform does.
    pub fn acknowledge(&self, queue: Queue, event: &SqsEvent, response: &SqsBatchResponse) {
        local::acknowledge(&self.queues, queue.name(), &event.records, response).expect("the queue is known");
    }

    /// Passes the visible messages of a queue to a worker and deletes those that it processed, as the platform does.
    /// Returns their number. If the worker dies ([`crate::Faults::or_die`]), they stay hidden for their visibility timeout.
    pub async fn work_once<F>(&self, queue: Queue, worker: impl FnOnce(SqsEvent) -> F) -> usize
    where
        F: Future<Output = SqsBatchResponse>,
    {
        let event = self.take_messages(queue);
        if !event.records.is_empty()
            && let Some(response) = self.faults.or_die(worker(event.clone())).await
        {
            self.acknowledge(queue, &event, &response);
        }
        event.records.len()
    }

    /// A client of the table, for tests of raw items. [`crate::Faults`] and the log see its calls too.
    #[must_use]
    pub fn dynamo(&self) -> &aws_sdk_dynamodb::Client {
        &self.dynamo
    }

    /// All items of the table.
    pub async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let pages = self.dynamo.scan().table_name("weir").into_paginator().items().send();
        pages.try_collect().await.expect("the table is scanned")
    }

    /// Deletes every idempotency record but not its parts, as DynamoDB's TTL may do.
    pub async fn delete_idempotency_records(&self) {
        for item in self.items().await.iter().filter(|item| has_sort_key(item, "IDEM")) {
            let request = self.dynamo.delete_item().table_name("weir");
            let request = request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            request.send().await.expect("the record is deleted");
        }
    }

    /// Deletes the secret of the checks of keys, as if no key was made yet.
    pub async fn delete_key_check(&self) {
        for item in self.items().await.iter().filter(|item| has_sort_key(item, "CHECK")) {
            let request = self.dynamo.delete_item().table_name("weir");
            let request = request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            request.send().await.expect("the secret is deleted");
        }
    }

    /// The number of responses that can be read: of their records, without those that were deleted.
    pub async fn stored_responses(&self) -> usize {
        let items = self.items().await;
        items.iter().filter(|item| has_sort_key(item, "META") && !item.contains_key("deleted")).count()
    }

    /// The shards of a project's meter of this month.
    pub async fn shards(&self, project: &Project) -> Vec<Shard> {
        self.shards_of(&MeterKey::of_project(&project.id, self.clock.now().month())).await
    }

    /// The shards of a meter.
    pub async fn shards_of(&self, meter: &MeterKey) -> Vec<Shard> {
        let shards = self.stores.meters().shards(meter).await;
        shards.expect("the meter is read").into_iter().flatten().collect()
    }

    /// Micro-dollars spent and held over all shards.
    pub async fn books(&self, project: &Project) -> (u64, u64) {
        sums(&self.shards(project).await)
    }

    /// Micro-dollars spent and held over all shards of a key's meter of this month.
    pub async fn books_of_key(&self, project: &Project, key: &str) -> (u64, u64) {
        let hash = ApiKeySecret::parse(key).expect("it is a key").hash();
        let scope = Scope::ApiKey(hash.as_str().to_owned());
        let meter = MeterKey { scope, ..MeterKey::of_project(&project.id, self.clock.now().month()) };
        sums(&self.shards_of(&meter).await)
    }

    /// Micro-dollars spent and held by a run.
    pub async fn books_of_run(&self, project: &Project, run: &str) -> (u64, u64) {
        let name = RunName::parse(run, "run").expect("it is a name");
        sums(&self.shards_of(&Run::new(name, None, &project.policy).meter(&project.id)).await)
    }

    /// The sum of all usage counters of a project.
    pub async fn counted(&self, project: &Project) -> UsageCount {
        let counters = self.stores.usage_counters().read(&project.id, "2000-01-01T00", "2999-12-31T23").await;
        counters.expect("the counters are read").into_iter().fold(UsageCount::default(), |mut sum, (_, count)| {
            sum += count;
            sum
        })
    }
}

/// Micro-dollars spent and held.
fn sums(shards: &[Shard]) -> (u64, u64) {
    (shards.iter().map(|shard| shard.spent.0).sum(), shards.iter().map(|shard| shard.held().0).sum())
}

fn has_sort_key(item: &HashMap<String, AttributeValue>, sort_key: &str) -> bool {
    item["sk"].as_s().is_ok_and(|found| found == sort_key)
}

/// An item of the table as text, the same for equal items.
#[must_use]
pub fn shown_item(item: &HashMap<String, AttributeValue>) -> String {
    let shown = |value: &AttributeValue| match value {
        AttributeValue::M(members) => shown_item(members),
        other => format!("{other:?}"),
    };
    format!("{:?}", item.iter().map(|(name, value)| (name, shown(value))).collect::<BTreeMap<_, _>>())
}
