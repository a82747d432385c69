//! Dead letters: messages that no worker could finish. They are listed, and given to their queue again.

use std::collections::HashMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use super::error::StoreError;
use super::queues::{Queue, Queues};

/// A message that was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub message_id: String,
    pub body: String,
    /// Unix milliseconds.
    pub sent_at: Option<u64>,
    /// Names it to SQS while it is being looked at.
    receipt: String,
}

/// While they are looked at nobody else sees them, for this many seconds at most.
const LOOKED_AT_SECONDS: i32 = 30;
/// What SQS gives at once.
const BATCH: i32 = 10;
/// SQS may answer with nothing although there is something.
const EMPTY_ANSWERS: u32 = 3;

impl Queues {
    /// Up to `limit` dead letters of a queue. They stay where they are.
    ///
    /// # Errors
    /// If the queue is not known or fails.
    pub async fn dead_letters(&self, queue: Queue, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let found = self.take_dead_letters(queue, limit).await?;
        for letter in &found {
            self.put_back(queue, letter).await?;
        }
        Ok(found)
    }

    /// Gives dead letters to their queue again: those that are named, or up to `limit`. How many.
    ///
    /// A letter is sent before it is deleted: if this is interrupted one may be sent twice, none is lost.
    ///
    /// # Errors
    /// If a queue is not known or fails.
    pub async fn replay_dead_letters(
        &self,
        queue: Queue,
        named: Option<&[String]>,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut letters = self.take_dead_letters(queue, limit).await?.into_iter();
        let mut replayed = 0;
        while let Some(letter) = letters.next() {
            match self.replay_dead_letter(queue, named, &letter).await {
                Ok(done) => replayed += usize::from(done),
                Err(error) => {
                    // Whoever tries again finds them at once. One that cannot be put back comes back by itself.
                    for left in std::iter::once(letter).chain(letters) {
                        let _ = self.put_back(queue, &left).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(replayed)
    }

    /// `false` if it is not one of those that are named.
    async fn replay_dead_letter(
        &self,
        queue: Queue,
        named: Option<&[String]>,
        letter: &DeadLetter,
    ) -> Result<bool, StoreError> {
        if named.is_some_and(|named| !named.contains(&letter.message_id)) {
            self.put_back(queue, letter).await?;
            return Ok(false);
        }
        let group = serde_json::from_str::<HashMap<String, serde_json::Value>>(&letter.body)
            .ok()
            .and_then(|body| body.get("project_id")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| "unknown".to_owned());
        self.send(queue, &group, letter.body.clone(), std::time::Duration::ZERO).await?;
        let (client, url) = self.dead(queue)?;
        let delete = client.delete_message().queue_url(url).receipt_handle(&letter.receipt);
        Box::pin(delete.send()).await.map_err(StoreError::queue("delete the dead letter"))?;
        Ok(true)
    }

    async fn take_dead_letters(&self, queue: Queue, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let (client, url) = self.dead(queue)?;
        let (mut found, mut empty) = (Vec::<DeadLetter>::new(), 0);
        while found.len() < limit && empty < EMPTY_ANSWERS {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(BATCH).min(BATCH);
            let request = client
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(wanted)
                .visibility_timeout(LOOKED_AT_SECONDS)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let answer = Box::pin(request.send()).await.map_err(StoreError::queue("give its dead letters"))?;
            let letters: Vec<DeadLetter> = answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect();
            empty = if letters.is_empty() { empty + 1 } else { 0 };
            found.extend(letters);
        }
        Ok(found)
    }

    async fn put_back(&self, queue: Queue, letter: &DeadLetter) -> Result<(), StoreError> {
        let (client, url) = self.dead(queue)?;
        let request =
            client.change_message_visibility().queue_url(url).receipt_handle(&letter.receipt).visibility_timeout(0);
        Box::pin(request.send()).await.map_err(StoreError::queue("take the dead letter back"))?;
        Ok(())
    }
}

fn letter(message: Message) -> Option<DeadLetter> {
    let sent_at = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    Some(DeadLetter {
        sent_at: sent_at.and_then(|at| at.parse().ok()),
        message_id: message.message_id?,
        body: message.body.unwrap_or_default(),
        receipt: message.receipt_handle?,
    })
}
