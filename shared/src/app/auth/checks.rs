//! The check of keys: a process reads its secret once and refuses keys that weir did not make without another read.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::app::error::Error;
use crate::data::{KeyCheckRecord, StoreError};
use crate::model::key_check::KeyCheck;
use crate::model::key_refusal::KeyRefusal;
use crate::model::key_text::ApiKeySecret;

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

    /// Checks that weir made a key. The secret is read once, also for many keys at the same time.
    ///
    /// # Errors
    /// `Unauthenticated` if weir did not make it, or never made a key; a store's failure.
    pub(super) async fn verify(&self, key: &ApiKeySecret) -> Result<(), Error> {
        match self.secret().await? {
            Some(secret) if key.fits(secret) => Ok(()),
            _ => Err(Error::Unauthenticated(KeyRefusal::Wrong)),
        }
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
