//! Dead letters: messages that no worker could finish. An operator lists them and sends them to their queue again.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use super::error::StoreError;
use super::queues::{Queue, Queues};

/// A message that SQS gave up after too many receptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub message_id: String,
    pub body: String,
    /// Unix milliseconds.
    pub sent_at: Option<u64>,
    /// SQS's handle of this reception, until it makes the message visible again.
    receipt: String,
}

/// SQS hides a received message from other receivers for this many seconds.
const HIDDEN_SECONDS: i32 = 30;
/// SQS gives at most this many messages at once.
const BATCH: i32 = 10;
/// SQS may answer with no message although the queue has some.
const EMPTY_ANSWERS: u32 = 3;

impl Queues {
    /// Lists up to `limit` dead letters of a queue. They stay where they are.
    pub async fn dead_letters(&self, queue: Queue, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let found = self.receive_dead_letters(queue, limit).await?;
        for letter in &found {
            self.put_back(queue, letter).await?;
        }
        Ok(found)
    }

    /// Sends dead letters to their queue again and returns their number: those that are `named`, or up to `limit`.
    ///
    /// Sends each letter before it deletes it: an interruption can send one twice, but loses none.
    pub async fn replay_dead_letters(
        &self,
        queue: Queue,
        named: Option<&[String]>,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut letters = self.receive_dead_letters(queue, limit).await?.into_iter();
        let mut replayed = 0;
        while let Some(letter) = letters.next() {
            let is_named = named.is_none_or(|named| named.contains(&letter.message_id));
            let done = match is_named {
                true => self.replay(queue, &letter).await,
                false => self.put_back(queue, &letter).await,
            };
            if let Err(error) = done {
                // The next attempt finds these at once. SQS itself shows again those that cannot be put back.
                for left in std::iter::once(letter).chain(letters) {
                    let _ = self.put_back(queue, &left).await;
                }
                return Err(error);
            }
            replayed += usize::from(is_named);
        }
        Ok(replayed)
    }

    async fn replay(&self, queue: Queue, letter: &DeadLetter) -> Result<(), StoreError> {
        let group = serde_json::from_str::<HashMap<String, serde_json::Value>>(&letter.body)
            .ok()
            .and_then(|body| body.get("project_id")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| "unknown".to_owned());
        self.send(queue, &group, letter.body.clone(), Duration::ZERO).await?;
        let (client, url) = self.dead_letter_queue(queue)?;
        let delete = client.delete_message().queue_url(url).receipt_handle(&letter.receipt);
        Box::pin(delete.send()).await.map_err(StoreError::queue("delete the dead letter"))?;
        Ok(())
    }

    async fn receive_dead_letters(&self, queue: Queue, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let (client, url) = self.dead_letter_queue(queue)?;
        let (mut found, mut empty) = (Vec::<DeadLetter>::new(), 0);
        while found.len() < limit && empty < EMPTY_ANSWERS {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(BATCH).min(BATCH);
            let request = client
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(wanted)
                .visibility_timeout(HIDDEN_SECONDS)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let answer = Box::pin(request.send()).await.map_err(StoreError::queue("give its dead letters"))?;
            let letters: Vec<DeadLetter> =
                answer.messages.unwrap_or_default().into_iter().filter_map(read_letter).collect();
            empty = if letters.is_empty() { empty + 1 } else { 0 };
            found.extend(letters);
        }
        Ok(found)
    }

    /// Makes a received letter visible to other receivers again.
    async fn put_back(&self, queue: Queue, letter: &DeadLetter) -> Result<(), StoreError> {
        let (client, url) = self.dead_letter_queue(queue)?;
        let request =
            client.change_message_visibility().queue_url(url).receipt_handle(&letter.receipt).visibility_timeout(0);
        Box::pin(request.send()).await.map_err(StoreError::queue("take the dead letter back"))?;
        Ok(())
    }
}

fn read_letter(message: Message) -> Option<DeadLetter> {
    let sent_at = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    Some(DeadLetter {
        sent_at: sent_at.and_then(|at| at.parse().ok()),
        message_id: message.message_id?,
        body: message.body.unwrap_or_default(),
        receipt: message.receipt_handle?,
    })
}
