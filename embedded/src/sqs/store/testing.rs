//! Lets tests read the queues and cause the faults that SQS allows itself.

use super::{Queue, Refusal, Store};
use crate::Sqs;

impl Sqs {
    /// The bodies of all messages, including hidden ones.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub fn bodies(&self, queue: &str) -> Result<Vec<String>, Refusal> {
        Ok(self.store().queue(queue)?.messages.iter().map(|message| message.new.body.clone()).collect())
    }

    /// Adds a copy of every message, because SQS may deliver a message twice.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub fn duplicate_all(&self, queue: &str) -> Result<(), Refusal> {
        let store: &mut Store = &mut self.store();
        let mut copies = store.queue(queue)?.messages.clone();
        for message in &mut copies {
            message.copy = store.next_copy();
        }
        let queue: &mut Queue = store.queue(queue)?;
        queue.messages.extend(copies);
        queue.changed.notify_waiters();
        Ok(())
    }

    /// Reverses the order of the messages, because SQS may deliver in any order.
    ///
    /// # Errors
    /// `UnknownQueue`.
    pub fn reverse(&self, queue: &str) -> Result<(), Refusal> {
        self.store().queue(queue)?.messages.make_contiguous().reverse();
        Ok(())
    }

    /// Removes a message and all its copies, as if SQS had lost it.
    pub fn forget(&self, message_id: &str) {
        for queue in self.store().queues.values_mut() {
            queue.messages.retain(|message| message.message_id != message_id);
        }
    }
}
