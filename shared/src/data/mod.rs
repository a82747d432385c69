//! The table and the bucket, where everything that must not be lost is kept, and the queues that wake workers.

mod api_keys;
mod breakers;
mod bucket;
mod cache;
mod conversations;
mod dead_letters;
mod deliveries;
mod due;
mod error;
mod idempotency;
mod item;
mod keys;
mod meter;
mod packed;
mod projects;
mod queues;
mod responses;
mod schema;
mod table;
mod usage;
mod webhooks;

pub use breakers::BreakerState;
pub use bucket::Bucket;
pub use cache::CacheEntry;
pub use conversations::{Added, Conversation, KeptItem, NewItem, Turn};
pub use dead_letters::DeadLetter;
pub use deliveries::Guard;
pub use due::{DUE_SHARDS, Due};
pub use error::StoreError;
pub use idempotency::{Finished, Lease, PartReader, Record, RecordKey, RecordState};
pub use meter::{
    Attempt, LOOKED_AT_MS, MAX_HOLDS, MAX_SHARDS, MeterKey, Move, Reservation, ReservationId, Settled, Shard, Window,
    WindowMove,
};
pub use queues::{MAX_DELAY, Queue, QueueUrls, Queues};
pub use responses::{
    Claim, Claimed, End, EventReader, GivenBack, NewResponse, ResponseRecord, StoredReservation, WholeResponse,
};
pub use schema::create_table;
pub use table::Table;
pub use usage::{Operation, UsageCount, UsageKey};

/// The stores of one deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stores {
    pub table: Table,
    pub bucket: Bucket,
    pub queues: Queues,
}
