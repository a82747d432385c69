//! The deletion of a conversation.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::turns::TurnPart;
use super::{Conversation, ConversationKey, ConversationRecords, MAX_TRIES, read_any_conversation};
use crate::data::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::{Contended, StoreError};
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys::{self, Key};
use crate::data::stored::{Expiry, StoredChange};
use crate::data::table::{ItemStream, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::storage::Stored;

impl ConversationRecords {
    /// Deletes a conversation and its items. Readers no longer find it from the first write on. If the deletion does not
    /// end, the sweeper ends it at `due_at`. `Refused`: the conversation does not exist or has expired.
    pub async fn delete(
        &self,
        key: &ConversationKey,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let head = keys::conversation(key);
        let UpdateOutcome::Written(marked) = self.mark_deleted(key, now, due_at).await? else {
            return Ok(WriteOutcome::Refused);
        };
        let conversation = read_any_conversation(key, &marked)?;
        self.delete_items(&head.pk).await?;
        // Once the conversation is marked, no turn is added; once its items are gone, no part loses one. So the parts do not
        // change any more between the read of their sums and their removal.
        self.delete_parts(&conversation, now).await?;
        self.table.delete(head).await?;
        Ok(WriteOutcome::Written)
    }

    async fn mark_deleted(
        &self,
        key: &ConversationKey,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<UpdateOutcome, StoreError> {
        // Without the condition, a deletion of an absent conversation would create one that consists of a mark.
        let mark = Change::new("SET deleted = :one, due_at = :due, due_shard = :shard")
            .only_if("attribute_exists(pk) AND (expires_at > :now OR attribute_exists(deleted))")
            .values([
                (":one", number(1)),
                (":due", number(due_at.0)),
                (":shard", text(due_shard(&key.conversation_id))),
                (":now", number(now.seconds())),
            ])
            .returning(Returning::All);
        self.table.update(keys::conversation(key), mark).await
    }

    async fn delete_items(&self, partition: &str) -> Result<(), StoreError> {
        let last = format!("{}{}", keys::ITEM_PREFIX, char::MAX);
        let found = self.table.query_between(partition, keys::ITEM_PREFIX, &last);
        let mut found = ItemStream::of(found.projection_expression("pk, sk, blob_key"));
        loop {
            let some = found.take(AT_ONCE.into()).await?;
            if some.is_empty() {
                return Ok(());
            }
            let deletions = some.iter().map(async |item| {
                self.bodies.delete_packed(item).await?;
                self.table.delete(Key { pk: partition.to_owned(), sk: Reader(item).text("sk")? }).await
            });
            try_join_all(deletions).await?;
        }
    }

    /// Deletes the parts of the turns, and takes what they stored off the counters.
    async fn delete_parts(&self, of: &Conversation, now: Timestamp) -> Result<(), StoreError> {
        let partition = keys::conversation(&of.key).pk;
        let last = format!("{}{}", keys::TURN_PREFIX, char::MAX);
        let mut tried = 0;
        loop {
            let found = self.table.query_between(&partition, keys::TURN_PREFIX, &last);
            let some = ItemStream::of(found.limit(AT_ONCE.into())).take(AT_ONCE.into()).await?;
            if some.is_empty() {
                return Ok(());
            }
            if self.table.transact(removal(of, &some, now)?).await?.is_written() {
                tried = 0;
                continue;
            }
            // Another deletion of the conversation removed one of them, or another transaction came first.
            if tried == MAX_TRIES {
                return Err(StoreError::table("delete the conversation")(Contended("its transactions were cancelled")));
            }
            conflict_pause(tried).await;
            tried += 1;
        }
    }
}

/// Items that are deleted at the same time, and parts in one transaction. Each day of a retention may be counted beside them, and a
/// transaction has 100 writes at most.
const AT_ONCE: u8 = 50;

/// The writes that remove some parts, each if it is still there, and that take them off the counters.
fn removal(of: &Conversation, parts: &[Item], now: Timestamp) -> Result<Vec<Write>, StoreError> {
    let mut removed = BTreeMap::<Expiry, Stored>::new();
    let mut writes = Vec::new();
    for part in parts {
        let part = TurnPart::read(part)?;
        writes.push(Write::Remove(keys::conversation_turn(&of.key, &part.first)));
        // A sum leaves out the days that are over.
        if part.expires_at > now.seconds() {
            let sum = removed.entry(of.expiry(part.first.at)).or_default();
            *sum = sum.plus(part.stored);
        }
    }
    let counted = removed.into_iter().map(|(expiry, sum)| StoredChange::removed(expiry, sum).write(&of.key.project_id));
    writes.extend(counted);
    Ok(writes)
}
