//! The stores without faults. This file and `process.rs` are the only ones that call the store API of production code.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use embedded::{BUCKET, Engines, TABLE, queue_url};
use shared::data::{
    BreakerState, Bucket, DUE_SHARDS, Due, QueueUrls, Queues, ResponseRecord, StoreError, Stores, Table,
};
use shared::model::clock::Timestamp;
use shared::model::key_check::KeyCheck;
use shared::model::message::ResponseKey;
use shared::model::meter::{MeterKey, Shard};
use shared::model::project::{ApiKey, Project};
use shared::model::slot::SlotKind;
use shared::model::storage::Stored;
use shared::model::usage::UsageKey;
use shared::model::webhook::Delivery;

use crate::deployment::PROVIDERS;
use crate::sim::{Sim, lock};

/// Makes the production stores from the clients of a process.
pub(crate) fn stores(dynamo: aws_sdk_dynamodb::Client, s3: aws_sdk_s3::Client, sqs: aws_sdk_sqs::Client) -> Stores {
    let urls = QueueUrls {
        respond: Some(queue_url("respond")),
        deliver: Some(queue_url("deliver")),
        batch: Some(queue_url("batch")),
        ingest: Some(queue_url("ingest")),
        respond_dead_letters: Some(queue_url("respond-dead-letters")),
        deliver_dead_letters: Some(queue_url("deliver-dead-letters")),
        batch_dead_letters: Some(queue_url("batch-dead-letters")),
        ingest_dead_letters: Some(queue_url("ingest-dead-letters")),
    };
    Stores { table: Table::new(dynamo, TABLE), bucket: Bucket::new(s3, BUCKET), queues: Queues::new(sqs, urls) }
}

/// The begins of the sort keys of a project's items that no purge deletes.
const STAYS: [&str; 4] = ["PROFILE", "APIKEY#", "ACCOUNT#", "USAGE#"];

/// Reads the stores for invariants, and writes the tenants.
pub(crate) struct Inspector {
    stores: Stores,
    dynamo: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    sim: Arc<Sim>,
    /// The meters as they were read last, with the number of writes to them by then.
    meters: Mutex<HashMap<MeterKey, (u64, Vec<Shard>)>>,
}

/// How much a project stores.
#[derive(Debug, Default)]
pub(crate) struct StoredContent {
    /// By the counters.
    pub(crate) counted: Stored,
    /// By the parts of turns.
    pub(crate) of_parts: Stored,
    /// By the records of files.
    pub(crate) of_files: Stored,
    /// By the records of files in vector stores.
    pub(crate) of_chunks: Stored,
    /// The ids of files whose upload did not end.
    pub(crate) begun_files: Vec<String>,
    /// The items that the parts name, as `<pk>/<id>`.
    pub(crate) named: BTreeSet<String>,
    /// The items, and the bytes of each.
    pub(crate) items: BTreeMap<String, u64>,
}

const DAY: u64 = 86_400;

/// The text is the error of the store.
pub(crate) type Read<T> = Result<T, String>;

impl Inspector {
    pub(crate) fn new(engines: &Engines, sim: &Arc<Sim>) -> Self {
        let dynamo = embedded::dynamo_client(engines.dynamo.clone());
        let s3 = embedded::s3_client(engines.s3.clone());
        let stores = stores(dynamo.clone(), s3.clone(), embedded::sqs_client(engines.sqs.connector()));
        Self { stores, dynamo, s3, sim: Arc::clone(sim), meters: Mutex::default() }
    }

    #[expect(clippy::expect_used, reason = "no fault strikes the inspector")]
    pub(crate) async fn create_project(&self, project: &Project) {
        let created = self.stores.projects().create(project, None).await;
        assert!(created.expect("the project is created").is_written());
    }

    #[expect(clippy::expect_used, reason = "no fault strikes the inspector")]
    pub(crate) async fn key_check(&self) -> KeyCheck {
        self.stores.key_checks().get_or_create().await.expect("the check is made")
    }

    #[expect(clippy::expect_used, reason = "no fault strikes the inspector")]
    pub(crate) async fn create_api_key(&self, key: &ApiKey) {
        let created = self.stores.api_keys().create(key).await;
        assert!(created.expect("the key is created").is_written());
    }

    pub(crate) async fn project(&self, id: &str) -> Read<Option<Project>> {
        self.stores.projects().get(id).await.map_err(text)
    }

    /// Reads the meter of a month: no shard if nothing was spent yet.
    pub(crate) async fn shards(&self, project_id: &str, month: &str) -> Read<Vec<Shard>> {
        self.shards_of(&MeterKey::of_project(project_id, month.to_owned())).await
    }

    /// Reads the meter of a key or a run, if it was written since it was read last.
    pub(crate) async fn shards_of(&self, meter: &MeterKey) -> Read<Vec<Shard>> {
        let writes = self.sim.meter_writes.of(meter);
        let known = lock(&self.meters).get(meter).filter(|(seen, _)| *seen == writes).map(|(_, shards)| shards.clone());
        if let Some(shards) = known {
            return Ok(shards);
        }
        let shards = self.read_shards(meter).await?;
        lock(&self.meters).insert(meter.clone(), (writes, shards.clone()));
        Ok(shards)
    }

    async fn read_shards(&self, meter: &MeterKey) -> Read<Vec<Shard>> {
        Ok(self.stores.meters().shards(meter).await.map_err(text)?.into_iter().flatten().collect())
    }

    /// Reads all meters again that were read before. `Err` if one was written and the write was not counted: then the
    /// checks until now have seen old meters.
    pub(crate) async fn check_known_meters(&self) -> Read<()> {
        let known = lock(&self.meters).clone();
        for (meter, (writes, shards)) in known {
            let is_current = self.sim.meter_writes.of(&meter) == writes;
            if is_current && self.read_shards(&meter).await? != shards {
                return Err(format!("a write to {meter:?} was not counted"));
            }
        }
        Ok(())
    }

    /// Reads the sum of the usage counters of all days that `counts` selects, in micro-dollars.
    pub(crate) async fn counted_cost(&self, project_id: &str, counts: impl Fn(&UsageKey) -> bool) -> Read<u64> {
        let counters = self.stores.usage_counters().read(project_id, "2026", "2027").await.map_err(text)?;
        Ok(counters.iter().filter(|(key, _)| counts(key)).map(|(_, count)| count.cost.0).sum())
    }

    /// The slots of a kind that are taken.
    pub(crate) async fn slots(&self, project_id: &str, kind: SlotKind) -> Read<u64> {
        let taken = self.stores.slots().taken(project_id, kind).await.map_err(text)?;
        Ok(taken.len() as u64)
    }

    /// Reads the breakers that are not closed: the provider and its name of the model, as `first/a`, and the state.
    pub(crate) async fn breakers(&self) -> Read<Vec<(String, BreakerState)>> {
        let mut found = Vec::new();
        for provider in PROVIDERS {
            let states = self.stores.breakers().of_provider(provider, self.sim.clock.now()).await.map_err(text)?;
            found.extend(states.into_iter().map(|(model, state)| (format!("{provider}/{model}"), state)));
        }
        Ok(found)
    }

    pub(crate) async fn response(&self, key: &ResponseKey) -> Read<Option<ResponseRecord>> {
        self.stores.responses().get(key).await.map_err(text)
    }

    pub(crate) async fn background_responses(&self, project_id: &str) -> Read<Vec<ResponseRecord>> {
        Ok(self.stores.jobs().list(project_id, None, 100).await.map_err(text)?.records)
    }

    pub(crate) async fn deliveries(&self, project_id: &str, endpoint_id: &str, now: Timestamp) -> Read<Vec<Delivery>> {
        self.stores.deliveries().list(project_id, endpoint_id, None, None, 1_000, now).await.map_err(text)
    }

    /// Reads all items that will ever be due.
    pub(crate) async fn due(&self) -> Read<Vec<Due>> {
        let mut found = Vec::new();
        for shard in 0..DUE_SHARDS {
            found.extend(self.stores.due().due(shard, Timestamp(u64::MAX / 2)).await.map_err(text)?);
        }
        Ok(found)
    }

    /// Reads what the stores have of a project beside its profile, its accounts and keys, its meters and counters: the keys
    /// of items as `<pk>/<sk>`, and those of bodies.
    pub(crate) async fn content(&self, project_id: &str) -> Read<Vec<String>> {
        let mut found = Vec::new();
        let mut items =
            self.dynamo.scan().table_name(TABLE).projection_expression("pk, sk").into_paginator().items().send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| error.to_string())?;
            let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            let (pk, sk) = (part("pk"), part("sk"));
            let stays = ["METER#", "SLOTS#", "USED#"].iter().any(|prefix| pk.starts_with(prefix))
                || STAYS.iter().any(|prefix| sk.starts_with(prefix));
            if pk.contains(project_id) && !stays {
                found.push(format!("{pk}/{sk}"));
            }
        }
        // The bucket's engine has threads of its own: see `Call::perform`.
        let list = self.s3.list_objects_v2().bucket(BUCKET).send();
        let bodies = futures_executor::block_on(tokio::task::unconstrained(list)).map_err(|error| error.to_string())?;
        let keys = bodies.contents().iter().filter_map(|object| object.key());
        found.extend(keys.filter(|key| key.contains(project_id)).map(str::to_owned));
        Ok(found)
    }

    /// The items and objects that batches have while they run.
    pub(crate) async fn remains_of_batches(&self) -> Read<Vec<String>> {
        let mut all = self.content("").await?;
        all.retain(|key| key.contains("/batches/"));
        let mut items = self.dynamo.scan().table_name(TABLE).into_paginator().items().send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| error.to_string())?;
            let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            // A write that arrived after the end made an item that has nothing but a lease. It expires.
            let is_late = item.contains_key("expires_at")
                && item.get("fence").and_then(|fence| fence.as_n().ok()).is_some_and(|fence| fence == "1")
                && ["done", "holding", "native", "tries"].iter().all(|name| !item.contains_key(*name));
            if part("pk").starts_with("BATCH#") && !is_late {
                all.push(format!("{}/{}", part("pk"), part("sk")));
            }
        }
        Ok(all)
    }

    /// Reads how much a project stores, in each way in which it can be told.
    pub(crate) async fn stored_content(&self, project_id: &str) -> Read<StoredContent> {
        let now = self.sim.clock.now();
        let counted = self.stores.stored().sum(project_id, now).await.map_err(text)?;
        let mut found = StoredContent { counted, ..StoredContent::default() };
        let partition = format!("CONV#{project_id}#");
        let mut items = self.dynamo.scan().table_name(TABLE).into_paginator().items().send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| error.to_string())?;
            let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()?.parse::<u64>().ok());
            let (pk, sk) = (part("pk"), part("sk"));
            if pk == format!("FILES#{project_id}") && item.contains_key("begun") {
                found.begun_files.push(sk.clone());
            } else if pk == format!("FILES#{project_id}") {
                let bytes = number("content_bytes").unwrap_or_default();
                found.of_files = found.of_files.plus(Stored { bytes, objects: 1 });
            } else if pk.starts_with(&format!("VSTORE#{project_id}#"))
                && item.contains_key("live")
                && !item.contains_key("deleted")
            {
                let bytes = number("usage_bytes").unwrap_or_default();
                found.of_chunks = found.of_chunks.plus(Stored { bytes, objects: 1 });
            }
            // Counters have days.
            let has_expired = number("expires_at").is_some_and(|expires| expires / DAY < now.seconds() / DAY);
            if !pk.starts_with(&partition) || has_expired || item.contains_key("deleted") {
                continue;
            }
            let bytes = number("json_bytes").unwrap_or_default();
            if let Some(id) = sk.strip_prefix("ITEM#") {
                found.items.insert(format!("{pk}/{id}"), bytes);
            } else if sk.starts_with("TURN#") {
                let objects = number("objects").unwrap_or_default();
                found.of_parts = found.of_parts.plus(Stored { bytes, objects });
                let ids = item.get("item_ids").and_then(|ids| ids.as_m().ok()).into_iter().flat_map(HashMap::values);
                found.named.extend(ids.filter_map(|id| Some(format!("{pk}/{}", id.as_s().ok()?))));
            }
        }
        Ok(found)
    }

    /// Reads the time at which the next item of the table is due.
    pub(crate) async fn next_due(&self) -> Option<Timestamp> {
        let due = self.dynamo.scan().table_name(TABLE).index_name("due").projection_expression("due_at").send().await;
        let due_at = |item: &HashMap<String, AttributeValue>| item.get("due_at")?.as_n().ok()?.parse::<u64>().ok();
        due.ok()?.items().iter().filter_map(due_at).min().map(Timestamp)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn text(error: StoreError) -> String {
    error.to_string()
}
