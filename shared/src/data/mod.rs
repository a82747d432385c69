//! The table and the bucket: where everything that must not be lost is kept.

mod api_keys;
mod breakers;
mod bucket;
mod cache;
mod error;
mod idempotency;
mod item;
mod keys;
mod meter;
mod projects;
mod schema;
mod table;
mod usage;

pub use breakers::BreakerState;
pub use bucket::Bucket;
pub use cache::CacheEntry;
pub use error::StoreError;
pub use idempotency::{Finished, Lease, PartReader, Record, RecordKey, RecordState};
pub use meter::{Attempt, DUE_SHARDS, Hold, HoldId, MAX_SHARDS, MeterKey, Move, Settled, Shard, Window, WindowMove};
pub use schema::create_table;
pub use table::Table;
pub use usage::{Operation, UsageCount, UsageKey};

/// The stores of one deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stores {
    pub table: Table,
    pub bucket: Bucket,
}
