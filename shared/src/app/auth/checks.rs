//! The check of keys: a process reads its secret once and refuses keys that weir did not make without another read.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::data::{KeyCheckRecord, StoreError};
use crate::model::key_check::KeyCheck;
use crate::model::secret::Secret;

pub(super) struct KeyChecks {
    record: KeyCheckRecord,
    known: OnceCell<KeyCheck>,
    has_begun: AtomicBool,
}

impl KeyChecks {
    pub(super) fn new(record: KeyCheckRecord) -> Self {
        Self { record, known: OnceCell::new(), has_begun: AtomicBool::new(false) }
    }

    /// Whether the process looks at a key for the first time; the answer is yes once.
    pub(super) fn is_first_key(&self) -> bool {
        !self.has_begun.swap(true, Ordering::Relaxed)
    }

    /// Whether weir made a key. It did not if it never made any. The secret is read once, also for many keys at the same time.
    pub(super) async fn fit(&self, key: &Secret) -> Result<bool, StoreError> {
        Ok(self.secret().await?.is_some_and(|secret| secret.fits(key)))
    }

    /// The secret; `None` if the table has none. That is not remembered: another process may make it at any time.
    async fn secret(&self) -> Result<Option<&KeyCheck>, StoreError> {
        let read = || async { self.record.get().await.map_err(Some)?.ok_or(None) };
        match self.known.get_or_try_init(read).await {
            Ok(secret) => Ok(Some(secret)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }
}
