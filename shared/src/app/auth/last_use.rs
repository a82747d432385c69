//! Records when keys are used, at most once an hour for each.

use quick_cache::sync::Cache;

use crate::app::tasks::Tasks;
use crate::data::LastUses;
use crate::model::clock::Clock;
use crate::model::error_chain::ErrorChain;

const CAPACITY: usize = 10_000;
const HOUR_MS: u64 = 3_600_000;

pub(super) struct LastUse {
    records: LastUses,
    tasks: Tasks,
    clock: Clock,
    /// The hour in which this process last recorded a use, by the key's id.
    recorded: Cache<String, u64>,
}

impl LastUse {
    pub(super) fn new(records: LastUses, tasks: Tasks, clock: Clock) -> Self {
        Self { records, tasks, clock, recorded: Cache::new(CAPACITY) }
    }

    /// Records the use of a key, beside the request. A failure costs the record of this hour, and no call waits for it.
    pub(super) fn note(&self, owner: &str, key_id: &str) {
        let now = self.clock.now();
        let hour = now.0 / HOUR_MS;
        if self.recorded.get(key_id) == Some(hour) {
            return;
        }
        self.recorded.insert(key_id.to_owned(), hour);
        let (records, owner, key_id) = (self.records.clone(), owner.to_owned(), key_id.to_owned());
        self.tasks.spawn(async move {
            if let Err(error) = Box::pin(records.record(&owner, &key_id, now)).await {
                tracing::warn!(key.id = key_id, error = %ErrorChain(&error), "use of a key not recorded");
            }
        });
    }
}
