//! Every key of the table. No other module makes keys.

use aws_sdk_dynamodb::types::AttributeValue;

use super::batches::PartKey;
use super::conversations::ConversationKey;
use super::conversations::Place;
use super::item::{Item, insert, text};
use super::project_work::WorkKey;
use super::stored::Expiry;
use crate::model::batch::BatchKey;
use crate::model::file::FileKey;
use crate::model::message::{DeliveryKey, ResponseKey};
use crate::model::meter::{MeterKey, Scope};
use crate::model::slot::SlotKind;
use crate::model::upload::UploadKey;
use crate::model::usage::{Operation, UsageKey};
use crate::model::vector_store::{self, StoreFileKey, VectorStoreKey};

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    /// Whether an item can have this key. DynamoDB refuses to look for longer keys than these, and ids come from clients.
    pub(super) fn can_exist(&self) -> bool {
        self.pk.len() <= 2_048 && (1..=1_024).contains(&self.sk.len())
    }

    /// An item with this key and these attributes.
    pub(super) fn with(self, attributes: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> Item {
        let mut item = self.into_item();
        insert(&mut item, attributes);
        item
    }

    pub(super) fn into_item(self) -> Item {
        Item::from([("pk".to_owned(), text(self.pk)), ("sk".to_owned(), text(self.sk))])
    }
}

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

/// `pk = KEY#<sha256>`, `sk = KEY`: finds an API key by its hash alone.
pub(super) fn api_key(hash: &str) -> Key {
    key(format!("KEY#{hash}"), "KEY")
}

/// `pk = KEY#<sha256>`, `sk = ADMIN`: finds an admin key by its hash alone.
pub(super) fn admin_key(hash: &str) -> Key {
    key(format!("KEY#{hash}"), "ADMIN")
}

/// `pk = KEY#ADMIN`, `sk = <key id>`: one query lists the admin keys. Holds the hash that finds the key.
pub(super) fn admin_key_listing(key_id: &str) -> Key {
    key(ADMIN_KEYS.to_owned(), key_id)
}

pub(super) const ADMIN_KEYS: &str = "KEY#ADMIN";

/// `pk = KEY#CHECK`, `sk = CHECK`: the secret of the checks of keys. No hash is `CHECK`.
pub(super) fn key_check() -> Key {
    key("KEY#CHECK".to_owned(), "CHECK")
}

/// `pk = PROJECT#<id>`, `sk = PROFILE`.
pub(super) fn project(id: &str) -> Key {
    key(project_partition(id), "PROFILE")
}

/// The partition with a project's profile, keys and counters.
pub(super) fn project_partition(id: &str) -> String {
    format!("{PROJECT_PREFIX}{id}")
}

pub(super) const PROJECT_PREFIX: &str = "PROJECT#";

/// `pk = PROJECT#<id>`, `sk = WORK#<kind>`: work on the whole project. Due.
pub(super) fn project_work(WorkKey { project_id, kind }: &WorkKey) -> Key {
    key(project_partition(project_id), format!("{WORK_PREFIX}{}", kind.name()))
}

pub(super) const WORK_PREFIX: &str = "WORK#";

/// `pk = AUDIT`, `sk = <entry id>`: ids are ordered, so one query lists the audit log by time.
pub(super) fn audit_entry(id: &str) -> Key {
    key(AUDIT.to_owned(), id)
}

pub(super) const AUDIT: &str = "AUDIT";

/// `pk = PROJECTS`, `sk = <created_at, 10 digits>#<id>`: one query lists the projects, oldest first.
pub(super) fn project_listing(created_at: u64, id: &str) -> Key {
    key(PROJECTS.to_owned(), format!("{created_at:010}#{id}"))
}

pub(super) const PROJECTS: &str = "PROJECTS";

/// `pk = PROJECT#<id>`, `sk = APIKEY#<key id>`: one query lists a project's keys. Holds the hash that finds the key.
pub(super) fn project_api_key(project_id: &str, key_id: &str) -> Key {
    key(project_partition(project_id), format!("{API_KEY_PREFIX}{key_id}"))
}

pub(super) const API_KEY_PREFIX: &str = "APIKEY#";

/// `pk = PROJECT#<id>`, `sk = ACCOUNT#<service account id>`: one query lists a project's service accounts.
pub(super) fn service_account(project_id: &str, id: &str) -> Key {
    key(project_partition(project_id), format!("{SERVICE_ACCOUNT_PREFIX}{id}"))
}

pub(super) const SERVICE_ACCOUNT_PREFIX: &str = "ACCOUNT#";

/// `pk = USED#<owner>`, `sk = <key id>`: when a key was last used. The owner is a project, or `admin`. It is in a partition of its own,
/// because functions write it that may write no key.
pub(super) fn last_use(owner: &str, key_id: &str) -> Key {
    key(last_uses_partition(owner), key_id)
}

/// The partition with the last uses of an owner's keys.
pub(super) fn last_uses_partition(owner: &str) -> String {
    format!("USED#{owner}")
}

/// `pk = PROJECT#<id>`, `sk = ENDPOINT#<endpoint id>`: one query lists a project's webhook endpoints.
pub(super) fn webhook_endpoint(project_id: &str, id: &str) -> Key {
    key(project_partition(project_id), format!("{ENDPOINT_PREFIX}{id}"))
}

pub(super) const ENDPOINT_PREFIX: &str = "ENDPOINT#";

/// `pk = METER#<project>#<shard>`, `sk = <month>`: the shards of one project are in different partitions. The meter of an
/// API key has `#KEY#<hash>` after the project, and that of a run `#RUN#<hash>`.
pub(super) fn meter(MeterKey { project_id, scope, period, shard }: &MeterKey) -> Key {
    let scope = match scope {
        Scope::Project => String::new(),
        Scope::ApiKey(hash) => format!("KEY#{hash}#"),
        Scope::Run(hash) => format!("RUN#{hash}#"),
    };
    key(format!("{METER_PREFIX}{project_id}#{scope}{shard}"), period)
}

/// `pk = SLOTS#<project>`, `sk = <kind>`: what a project has open at the same time.
pub(super) fn slots(project_id: &str, kind: SlotKind) -> Key {
    key(format!("SLOTS#{project_id}"), kind.name())
}

/// `pk = STORED#<project>`, `sk = <day>#<shard>`, or `never#<shard>`: how much a project stores that expires on that day.
pub(super) fn stored(project_id: &str, expiry: Expiry, shard: u32) -> Key {
    let day = match expiry {
        Expiry::OnDay(day) => format!("day-{day:08}"),
        Expiry::Never => "never".to_owned(),
    };
    key(stored_partition(project_id), format!("{day}#{shard}"))
}

/// The partition with the counters of what a project stores.
fn stored_partition(project_id: &str) -> String {
    format!("STORED#{project_id}")
}

/// Reads the key of a shard. Returns `None` for other items.
pub(super) fn meter_parts(pk: &str, sk: &str) -> Option<MeterKey> {
    let parts: Vec<&str> = pk.strip_prefix(METER_PREFIX)?.split('#').collect();
    let (project_id, scope, shard) = match parts[..] {
        [project_id, shard] => (project_id, Scope::Project, shard),
        [project_id, "KEY", hash, shard] => (project_id, Scope::ApiKey(hash.to_owned()), shard),
        [project_id, "RUN", hash, shard] => (project_id, Scope::Run(hash.to_owned()), shard),
        _ => return None,
    };
    Some(MeterKey { project_id: project_id.to_owned(), scope, period: sk.to_owned(), shard: shard.parse().ok()? })
}

const METER_PREFIX: &str = "METER#";

/// `pk = PROJECT#<id>`, `sk = USAGE#<hour>#<operation>#<model>#<key id>#<run>#<shard>`: one query reads a span of time.
///
/// `#` in the name of a model is escaped. The name of a run has none.
pub(super) fn usage(of: &UsageKey) -> Key {
    let UsageKey { project_id, hour, operation, model, api_key_id, run, shard } = of;
    let (operation, model) = (operation.name(), model.replace('%', "%25").replace('#', "%23"));
    key(project_partition(project_id), format!("{USAGE_PREFIX}{hour}#{operation}#{model}#{api_key_id}#{run}#{shard}"))
}

pub(super) const USAGE_PREFIX: &str = "USAGE#";

/// Reads the key of a usage counter of a project. Returns `None` for other items.
pub(super) fn usage_parts(project_id: &str, sk: &str) -> Option<UsageKey> {
    let parts: Vec<&str> = sk.strip_prefix(USAGE_PREFIX)?.split('#').collect();
    let [hour, operation, model, key_id, run, shard]: [&str; 6] = parts.try_into().ok()?;
    Some(UsageKey {
        project_id: project_id.to_owned(),
        hour: hour.to_owned(),
        operation: Operation::parse(operation)?,
        model: model.replace("%23", "#").replace("%25", "%"),
        api_key_id: key_id.to_owned(),
        run: run.to_owned(),
        shard: shard.parse().ok()?,
    })
}

/// `pk = IDEM#<project>#<hash of scope and key>`, `sk = IDEM`. Its parts are in the same partition.
pub(super) fn idempotency(project_id: &str, hash: &str) -> Key {
    key(format!("{IDEMPOTENCY_PREFIX}{project_id}#{hash}"), "IDEM")
}

const IDEMPOTENCY_PREFIX: &str = "IDEM#";

/// `sk = PART#<fence, 10 digits>#<n, 6 digits>`: the body of an answer whose stream has not ended, in order.
pub(super) fn idempotency_part(project_id: &str, hash: &str, fence: u64, n: u32) -> Key {
    key(idempotency(project_id, hash).pk, format!("{}{n:06}", part_prefix(fence)))
}

pub(super) fn part_prefix(fence: u64) -> String {
    format!("PART#{fence:010}#")
}

/// `pk = CACHE#<project>#<hash of the request>`, `sk = CACHE`.
pub(super) fn cache(project_id: &str, hash: &str) -> Key {
    key(format!("{CACHE_PREFIX}{project_id}#{hash}"), "CACHE")
}

const CACHE_PREFIX: &str = "CACHE#";

/// A part of the keys of a project's content.
pub(super) enum Content {
    /// All partitions whose key begins so.
    Partitions(String),
    /// The items of a partition whose sort key begins so.
    Items { partition: String, prefix: &'static str },
}

/// The keys of everything that a project's clients sent and got, and of the counters that say how much it is. The other keys of a
/// project are those of its profile, its accounts and keys, its meters and counters of usage, and work on it.
pub(super) fn content(project_id: &str) -> [Content; 17] {
    let partitions = |prefix: &str| Content::Partitions(format!("{prefix}{project_id}#"));
    let items = |partition, prefix| Content::Items { partition, prefix };
    [
        partitions(IDEMPOTENCY_PREFIX),
        partitions(CACHE_PREFIX),
        partitions(RESPONSE_PREFIX),
        partitions(CONVERSATION_PREFIX),
        partitions(DELIVERY_PREFIX),
        partitions(BATCH_PREFIX),
        partitions(VECTOR_STORE_PREFIX),
        partitions(CHUNKS_PREFIX),
        partitions(FILE_STORES_PREFIX),
        // Every response's id begins so.
        items(jobs_partition(project_id), "resp_"),
        items(files_partition(project_id), FILE_PREFIX),
        items(uploads_partition(project_id), UPLOAD_PREFIX),
        items(batches_partition(project_id), BATCH_ID_PREFIX),
        items(vector_stores_partition(project_id), vector_store::ID_PREFIX),
        items(project_partition(project_id), ENDPOINT_PREFIX),
        items(stored_partition(project_id), "day-"),
        items(stored_partition(project_id), "never#"),
    ]
}

/// `pk = BREAKER#<provider>`, `sk = TARGET#<the provider's name of the model>`: one query reads the breakers of a provider.
/// Shared by all projects. `probers` has the ids of those that probe the target.
pub(super) fn breaker(provider: &str, model: &str) -> Key {
    key(breakers_partition(provider), format!("{BREAKER_PREFIX}{model}"))
}

/// The partition with the breakers of a provider's targets.
pub(super) fn breakers_partition(provider: &str) -> String {
    format!("BREAKER#{provider}")
}

pub(super) const BREAKER_PREFIX: &str = "TARGET#";

/// The provider's name of the model, from the `sk` of a breaker.
pub(super) fn target_of_breaker(sk: &str) -> Option<&str> {
    sk.strip_prefix(BREAKER_PREFIX)
}

/// `pk = RESP#<project>#<response id>`, `sk = META`: a response's state. Its events sort before it, `OUT` and `REQ` after.
pub(super) fn response(ResponseKey { project_id, response_id }: &ResponseKey) -> Key {
    key(format!("{RESPONSE_PREFIX}{project_id}#{response_id}"), RESPONSE_STATE)
}

pub(super) const RESPONSE_STATE: &str = "META";

/// `sk = OUT`: the response object as it ended.
pub(super) fn response_end(of: &ResponseKey) -> Key {
    key(response(of).pk, "OUT")
}

/// `sk = REQ`: the request, with the turns before it.
pub(super) fn response_request(of: &ResponseKey) -> Key {
    key(response(of).pk, RESPONSE_REQUEST)
}

pub(super) const RESPONSE_REQUEST: &str = "REQ";

/// `sk = ERASE`: the response is to be erased. Due.
pub(super) fn response_erasure(of: &ResponseKey) -> Key {
    key(response(of).pk, RESPONSE_ERASURE)
}

pub(super) const RESPONSE_ERASURE: &str = "ERASE";

/// `sk = EVT#<first sequence number, 10 digits>#<fence, 10 digits>`: events in order.
pub(super) fn response_events(of: &ResponseKey, first: u64, fence: u64) -> Key {
    key(response(of).pk, format!("{EVENTS_PREFIX}{first:010}#{fence:010}"))
}

pub(super) const EVENTS_PREFIX: &str = "EVT#";

/// Splits the `sk` of a chunk of events into its first sequence number and fence. Returns `None` for other items.
pub(super) fn events_parts(sk: &str) -> Option<(u64, u64)> {
    let (first, fence) = sk.strip_prefix(EVENTS_PREFIX)?.split_once('#')?;
    Some((first.parse().ok()?, fence.parse().ok()?))
}

/// `pk = JOBS#<project>`, `sk = <response id>`: ids are ordered, so one query lists a project's background responses.
pub(super) fn job(project_id: &str, response_id: &str) -> Key {
    key(jobs_partition(project_id), response_id)
}

fn jobs_partition(project_id: &str) -> String {
    format!("JOBS#{project_id}")
}

/// `pk = FILES#<project>`, `sk = <file id>`: ids are ordered, so one query lists a project's files. Due until the content is
/// complete, when it expires, and while it is deleted.
pub(super) fn file(FileKey { project_id, file_id }: &FileKey) -> Key {
    key(files_partition(project_id), file_id)
}

pub(super) fn files_partition(project_id: &str) -> String {
    format!("{FILES_PREFIX}{project_id}")
}

pub(super) const FILES_PREFIX: &str = "FILES#";

/// Every file's id begins so.
pub(super) const FILE_PREFIX: &str = "file-";

/// `pk = UPLOADS#<project>`, `sk = <upload id>`: a file whose parts arrive, or arrived in the last hours. Due until it is removed.
pub(super) fn upload(UploadKey { project_id, upload_id }: &UploadKey) -> Key {
    key(uploads_partition(project_id), upload_id)
}

fn uploads_partition(project_id: &str) -> String {
    format!("{UPLOADS_PREFIX}{project_id}")
}

pub(super) const UPLOADS_PREFIX: &str = "UPLOADS#";

/// Every upload's id begins so.
const UPLOAD_PREFIX: &str = "upload_";

/// `pk = BATCHES#<project>`, `sk = <batch id>`: ids are ordered, so one query lists a project's batches. Due until nothing is left to do.
pub(super) fn batch(BatchKey { project_id, batch_id }: &BatchKey) -> Key {
    key(batches_partition(project_id), batch_id)
}

pub(super) fn batches_partition(project_id: &str) -> String {
    format!("{BATCHES_PREFIX}{project_id}")
}

pub(super) const BATCHES_PREFIX: &str = "BATCHES#";

/// Every batch's id begins so.
pub(super) const BATCH_ID_PREFIX: &str = "batch_";

/// `pk = BATCH#<project>#<batch id>`, `sk = PART#<n, 6 digits>`: a part of a batch that was begun.
pub(super) fn batch_part(PartKey { batch: BatchKey { project_id, batch_id }, part }: &PartKey) -> Key {
    key(format!("{BATCH_PREFIX}{project_id}#{batch_id}"), format!("{PART_PREFIX}{part:06}"))
}

const BATCH_PREFIX: &str = "BATCH#";

pub(super) const PART_PREFIX: &str = "PART#";

/// `pk = VSTORES#<project>`, `sk = <vector store id>`: ids are ordered, so one query lists a project's stores. Due while it is deleted, and
/// when it may expire.
pub(super) fn vector_store(VectorStoreKey { project_id, store_id }: &VectorStoreKey) -> Key {
    key(vector_stores_partition(project_id), store_id)
}

pub(super) fn vector_stores_partition(project_id: &str) -> String {
    format!("{VECTOR_STORES_PREFIX}{project_id}")
}

pub(super) const VECTOR_STORES_PREFIX: &str = "VSTORES#";

/// `pk = VSTORE#<project>#<vector store id>`, `sk = <file id>`: a file of a store. Due while work is left for it.
pub(super) fn store_file(StoreFileKey { store, file_id }: &StoreFileKey) -> Key {
    key(store_files_partition(store), file_id)
}

/// The partition with the files of a store.
pub(super) fn store_files_partition(VectorStoreKey { project_id, store_id }: &VectorStoreKey) -> String {
    format!("{VECTOR_STORE_PREFIX}{project_id}#{store_id}")
}

pub(super) const VECTOR_STORE_PREFIX: &str = "VSTORE#";

/// `pk = CHUNKS#<project>#<vector store id>#<file id>`, `sk = <generation, 6 digits>#<n, 6 digits>`: a chunk of a file, with its embedding.
pub(super) fn chunk(file: &StoreFileKey, generation: u32, n: u32) -> Key {
    key(chunks_partition(file), format!("{generation:06}#{n:06}"))
}

/// `sk = <generation>#<n>#WORDS`: the lexical vector of a chunk.
pub(super) fn chunk_words(file: &StoreFileKey, generation: u32, n: u32) -> Key {
    key(chunks_partition(file), format!("{generation:06}#{n:06}{WORDS_SUFFIX}"))
}

/// The partition with the chunks of a file.
pub(super) fn chunks_partition(StoreFileKey { store, file_id }: &StoreFileKey) -> String {
    let VectorStoreKey { project_id, store_id } = store;
    format!("{CHUNKS_PREFIX}{project_id}#{store_id}#{file_id}")
}

/// Reads the key of a chunk, or of its lexical vector: the file, the generation and the number. Returns `None` for other items.
pub(super) fn chunk_parts(pk: &str, sk: &str) -> Option<(StoreFileKey, u32, u32)> {
    let parts: Vec<&str> = pk.strip_prefix(CHUNKS_PREFIX)?.split('#').collect();
    let [project_id, store_id, file_id]: [&str; 3] = parts.try_into().ok()?;
    let (generation, n) = sk.strip_suffix(WORDS_SUFFIX).unwrap_or(sk).split_once('#')?;
    let store = VectorStoreKey { project_id: project_id.to_owned(), store_id: store_id.to_owned() };
    Some((StoreFileKey { store, file_id: file_id.to_owned() }, generation.parse().ok()?, n.parse().ok()?))
}

const CHUNKS_PREFIX: &str = "CHUNKS#";
pub(super) const WORDS_SUFFIX: &str = "#WORDS";

/// `pk = FILESTORES#<project>#<file id>`, `sk = <vector store id>`: a store that a file is in, so that deleting the file finds it.
pub(super) fn store_of_file(StoreFileKey { store, file_id }: &StoreFileKey) -> Key {
    key(stores_of_file_partition(&store.project_id, file_id), &store.store_id)
}

/// The partition with the stores that a file is in.
pub(super) fn stores_of_file_partition(project_id: &str, file_id: &str) -> String {
    format!("{FILE_STORES_PREFIX}{project_id}#{file_id}")
}

const FILE_STORES_PREFIX: &str = "FILESTORES#";

/// The value of `vec_scope` of all vectors that one search compares: the embeddings of a store, or its lexical vectors.
pub(super) fn vector_scope(VectorStoreKey { project_id, store_id }: &VectorStoreKey, kind: &str) -> String {
    format!("{project_id}#{store_id}#{kind}")
}

/// `pk = CONV#<project>#<conversation id>`, `sk = CONV`. Its items are in the same partition.
pub(super) fn conversation(ConversationKey { project_id, conversation_id }: &ConversationKey) -> Key {
    key(format!("{CONVERSATION_PREFIX}{project_id}#{conversation_id}"), "CONV")
}

pub(super) const CONVERSATION_PREFIX: &str = "CONV#";

/// `sk = ITEM#<item id>`: no id occurs twice. The attribute `place` orders the items.
pub(super) fn conversation_item(of: &ConversationKey, item_id: &str) -> Key {
    key(conversation(of).pk, format!("{ITEM_PREFIX}{item_id}"))
}

pub(super) const ITEM_PREFIX: &str = "ITEM#";

/// `sk = TURN#<place of its first item>`: the ids of items that were added together, so that one query lists a conversation in order.
pub(super) fn conversation_turn(of: &ConversationKey, first: &Place) -> Key {
    key(conversation(of).pk, format!("{TURN_PREFIX}{first}"))
}

pub(super) const TURN_PREFIX: &str = "TURN#";

pub(super) const RESPONSE_PREFIX: &str = "RESP#";

/// `pk = HOOK#<project>#<endpoint id>`, `sk = <delivery id>`: ids are ordered, so one query lists an endpoint's deliveries by time.
pub(super) fn delivery(DeliveryKey { project_id, endpoint_id, delivery_id }: &DeliveryKey) -> Key {
    key(delivery_partition(project_id, endpoint_id), delivery_id)
}

/// The partition with the deliveries of one endpoint.
pub(super) fn delivery_partition(project_id: &str, endpoint_id: &str) -> String {
    format!("{DELIVERY_PREFIX}{project_id}#{endpoint_id}")
}

pub(super) const DELIVERY_PREFIX: &str = "HOOK#";

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(model: &str, key_id: &str) -> UsageKey {
        UsageKey {
            project_id: "p".into(),
            hour: "2026-11-22T17".into(),
            operation: Operation::Completions,
            model: model.into(),
            api_key_id: key_id.into(),
            run: "run-1".into(),
            shard: 12,
        }
    }

    #[test]
    fn a_model_name_cannot_reach_into_another_part_of_the_key() {
        assert_ne!(usage(&counter("a#b", "k")), usage(&counter("a", "b#k")));
    }

    #[test]
    fn the_key_of_a_meter_reads_back() {
        for scope in [Scope::Project, Scope::ApiKey("ab12".into()), Scope::Run("ab12".into())] {
            let meter = MeterKey { project_id: "proj_1".into(), scope, period: "2026-11".into(), shard: 12 };
            let Key { pk, sk } = super::meter(&meter);
            assert_eq!(meter_parts(&pk, &sk), Some(meter));
        }
        assert_eq!(meter_parts("METER#proj_1#OTHER#ab12#0", "2026-11"), None);
    }

    #[test]
    fn the_key_of_a_chunk_reads_back() {
        let store = VectorStoreKey { project_id: "proj_1".into(), store_id: "vs_1".into() };
        let file = StoreFileKey { store, file_id: "file-1".into() };
        for Key { pk, sk } in [chunk(&file, 3, 12), chunk_words(&file, 3, 12)] {
            assert_eq!(chunk_parts(&pk, &sk), Some((file.clone(), 3, 12)));
        }
        assert_eq!(chunk_parts("CHUNKS#proj_1#vs_1", "000003#000012"), None);
    }

    #[test]
    fn a_counter_key_reads_back() {
        for model in ["gpt-4.1", "a#b", "100%", "%23#%25"] {
            let counter = counter(model, "key_1");
            assert_eq!(usage_parts("p", &usage(&counter).sk), Some(counter));
        }
        for other in ["PROFILE", "USAGE#2026-11-22T17#completions"] {
            assert_eq!(usage_parts("p", other), None);
        }
    }

    #[test]
    fn parts_sort_by_attempt_and_then_by_number() {
        let mut keys = [(2, 1), (1, 10), (1, 9)].map(|(fence, n)| idempotency_part("p", "h", fence, n).sk);
        keys.sort();
        assert_eq!(keys, ["PART#0000000001#000009", "PART#0000000001#000010", "PART#0000000002#000001"]);
    }
}
