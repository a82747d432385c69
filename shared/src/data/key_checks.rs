//! The secret of the checks of keys: one item, made with the first key.

use super::change::WriteOutcome;
use super::error::StoreError;
use super::item::{Reader, text};
use super::keys;
use super::table::Table;
use crate::model::key_check::KeyCheck;

/// The item with the secret of the checks.
#[derive(Clone, Debug)]
pub struct KeyCheckRecord(pub(super) Table);

impl KeyCheckRecord {
    /// Returns the secret; `None` if no key was made yet.
    pub async fn get(&self) -> Result<Option<KeyCheck>, StoreError> {
        let item = self.0.get(keys::key_check()).await?;
        item.map(|item| Reader(&item).text("secret").map(KeyCheck::from_stored)).transpose()
    }

    /// Returns the secret, and makes it if there is none.
    pub async fn get_or_create(&self) -> Result<KeyCheck, StoreError> {
        if let Some(known) = self.get().await? {
            return Ok(known);
        }
        let made = KeyCheck::generate();
        if self.create(&made).await?.is_written() {
            return Ok(made);
        }
        // Another process made it first.
        self.get().await?.ok_or(StoreError::Damaged { key: "KEY#CHECK/CHECK".to_owned(), attribute: "secret" })
    }

    /// Stores a secret. `Refused`: there is one.
    pub async fn create(&self, check: &KeyCheck) -> Result<WriteOutcome, StoreError> {
        // Without the condition, the second of two processes would make the keys of the first worthless.
        self.0.put_new(keys::key_check().with([("secret", text(check.secret().expose()))])).await
    }
}
