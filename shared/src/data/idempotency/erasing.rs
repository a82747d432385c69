//! The answer of a run is erased when the response that it made is deleted.

use super::{ERASED, FAILED, IdempotencyRecords, KeyClaim};
use crate::data::change::{Change, Returning, UpdateOutcome};
use crate::data::error::StoreError;
use crate::data::item::{Reader, number, text};

impl IdempotencyRecords {
    /// Erases the answer of a claim's run, whether it is stored or still to come. The record stays for its time, with the
    /// response that was deleted: the request does not run again. Erasing again is safe.
    pub async fn erase(&self, claim: &KeyClaim, response_id: &str) -> Result<(), StoreError> {
        // Without the condition on the fence, this would erase the answer of a later request with the key. Without the one
        // on the state, the key of a run that failed would not be free any more.
        let change = Change::new(
            "SET run_state = :erased, response_id = :response REMOVE tail, tail_at, content_type, http_status, lease_until",
        )
        .only_if("fence = :fence AND run_state <> :failed")
        .returning(Returning::All)
        .values([
            (":erased", text(ERASED)),
            (":response", text(response_id)),
            (":fence", number(claim.fence)),
            (":failed", text(FAILED)),
        ]);
        // The record keeps the name of its body, so that a repeated erasure can delete the body.
        match self.table.update(claim.key.key(), change).await? {
            UpdateOutcome::Written(item) => match Reader(&item).maybe_text("blob_key") {
                Some(blob) => self.bucket.delete(&blob).await,
                None => Ok(()),
            },
            UpdateOutcome::Refused(_) => Ok(()),
        }
    }
}
