//! Standard queues in memory.

#[cfg(feature = "testing")]
mod testing;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::QueueSettings;

/// Why a queue refused a request: SQS's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("The specified queue does not exist.")]
    UnknownQueue,
    #[error("The input receipt handle is invalid.")]
    InvalidReceipt,
    #[error("The message is not in flight.")]
    NotInFlight,
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0} is not wired in the embedded SQS.")]
    Unsupported(String),
}

/// A message as a worker receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub message_id: String,
    /// The receipt of this delivery. Only the latest receipt of a message deletes it.
    pub receipt_handle: String,
    pub body: String,
    /// In hexadecimal.
    pub md5_of_body: String,
    pub group_id: Option<String>,
    /// The message attributes as they were sent, by name, with `DataType` and `StringValue` or `BinaryValue`.
    pub attributes: Map<String, Value>,
    /// Unix milliseconds.
    pub sent_ms: u64,
    /// Unix milliseconds.
    pub first_received_ms: u64,
    /// Deliveries so far, including this one.
    pub receive_count: u32,
}

impl Received {
    /// The system attributes that SQS passes to workers, by name.
    #[must_use]
    pub fn system_attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("ApproximateReceiveCount", self.receive_count.to_string()),
            ("SentTimestamp", self.sent_ms.to_string()),
            ("SenderId", "embedded".to_owned()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_ms.to_string()),
        ];
        attributes.extend(self.group_id.clone().map(|group_id| ("MessageGroupId", group_id)));
        attributes
    }
}

/// The number of messages of a queue in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub visible: usize,
    /// Received, not deleted, and not yet visible again.
    pub in_flight: usize,
    pub delayed: usize,
}

/// A message to be sent.
pub(super) struct New {
    pub(super) body: String,
    pub(super) delay: Duration,
    pub(super) group_id: Option<String>,
    pub(super) attributes: Map<String, Value>,
}

pub(super) struct Store {
    queues: HashMap<&'static str, Queue>,
    /// The number of the next copy of a message. Message ids are made from it.
    next: u64,
}

struct Queue {
    settings: QueueSettings,
    messages: VecDeque<Stored>,
    changed: Arc<Notify>,
}

#[derive(Clone)]
struct Stored {
    /// Distinguishes the copies of a message.
    copy: u64,
    message_id: String,
    new: Arc<New>,
    sent_ms: u64,
    hidden: Hidden,
    first_received_ms: Option<u64>,
    receive_count: u32,
}

/// The time in which a message is hidden: its delay, or the visibility timeout of its last delivery.
#[derive(Debug, Clone, Copy)]
struct Hidden {
    until_ms: u64,
    for_ms: u64,
}

impl Hidden {
    fn begin(now_ms: u64, time: Duration) -> Self {
        let for_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { until_ms: now_ms.saturating_add(for_ms), for_ms }
    }

    /// The milliseconds that are left. More than the whole time cannot be left: the clock was set back, and the time counts as
    /// over.
    fn left_ms(self, now_ms: u64) -> u64 {
        let left = self.until_ms.saturating_sub(now_ms);
        if left > self.for_ms { 0 } else { left }
    }
}

impl Store {
    pub(super) fn new(settings: &[QueueSettings]) -> Self {
        let queues = settings.iter().map(|settings| {
            let (messages, changed) = (VecDeque::new(), Arc::new(Notify::new()));
            (settings.name, Queue { settings: *settings, messages, changed })
        });
        Self { queues: queues.collect(), next: 0 }
    }

    /// Returns the message's id and the MD5 of its body.
    pub(super) fn send(&mut self, queue: &str, new: New, now_ms: u64) -> Result<(String, String), Refusal> {
        let copy = self.next_copy();
        let queue = self.queue(queue)?;
        let message_id = format!("00000000-0000-4000-8000-{copy:012x}");
        let md5 = md5_of(&new.body);
        queue.messages.push_back(Stored {
            copy,
            message_id: message_id.clone(),
            sent_ms: now_ms,
            hidden: Hidden::begin(now_ms, new.delay),
            new: Arc::new(new),
            first_received_ms: None,
            receive_count: 0,
        });
        queue.changed.notify_waiters();
        Ok((message_id, md5))
    }

    pub(super) fn receive(
        &mut self,
        name: &str,
        max: usize,
        visibility: Option<Duration>,
        now_ms: u64,
    ) -> Result<Vec<Received>, Refusal> {
        let queue = self.queue(name)?;
        let QueueSettings { name, visibility: usual, dead_letters } = queue.settings;
        let hidden = Hidden::begin(now_ms, visibility.unwrap_or(usual));
        let too_often = dead_letters.map_or(u32::MAX, |(_, max_receive_count)| max_receive_count);
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        queue.messages.retain_mut(|message| {
            if message.hidden.left_ms(now_ms) > 0 || received.len() == max {
                return true;
            }
            if message.receive_count >= too_often {
                dead.push(message.clone());
                return false;
            }
            message.hidden = hidden;
            received.push(message.receive(name, now_ms));
            true
        });
        if let Some((dead_letters, _)) = dead_letters
            && !dead.is_empty()
        {
            let queue = self.queue(dead_letters)?;
            queue.messages.extend(dead);
            queue.changed.notify_waiters();
        }
        Ok(received)
    }

    pub(super) fn delete(&mut self, queue: &str, receipt: &str) -> Result<(), Refusal> {
        let queue = self.queue(queue)?;
        let (copy, receive_count) = queue.parse_receipt(receipt)?;
        queue.messages.retain(|message| message.copy != copy || message.receive_count != receive_count);
        Ok(())
    }

    pub(super) fn change_visibility(
        &mut self,
        queue: &str,
        receipt: &str,
        timeout: Duration,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let queue = self.queue(queue)?;
        let (copy, receive_count) = queue.parse_receipt(receipt)?;
        let mut in_flight = queue.messages.iter_mut().filter(|message| message.hidden.left_ms(now_ms) > 0);
        let message = in_flight.find(|message| message.copy == copy && message.receive_count == receive_count);
        message.ok_or(Refusal::NotInFlight)?.hidden = Hidden::begin(now_ms, timeout);
        queue.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn counts(&mut self, queue: &str, now_ms: u64) -> Result<Counts, Refusal> {
        let mut counts = Counts::default();
        for message in &self.queue(queue)?.messages {
            match (message.hidden.left_ms(now_ms) > 0, message.receive_count) {
                (false, _) => counts.visible += 1,
                (true, 0) => counts.delayed += 1,
                (true, _) => counts.in_flight += 1,
            }
        }
        Ok(counts)
    }

    /// The milliseconds until the next message becomes visible; `None` if there is no message.
    pub(super) fn next_visible_ms(&mut self, queue: &str, now_ms: u64) -> Result<Option<u64>, Refusal> {
        Ok(self.queue(queue)?.messages.iter().map(|message| message.hidden.left_ms(now_ms)).min())
    }

    /// Notifies of a new message and of a changed visibility timeout.
    pub(super) fn change_notifier(&mut self, queue: &str) -> Result<Arc<Notify>, Refusal> {
        Ok(Arc::clone(&self.queue(queue)?.changed))
    }

    fn queue(&mut self, name: &str) -> Result<&mut Queue, Refusal> {
        self.queues.get_mut(name).ok_or(Refusal::UnknownQueue)
    }

    fn next_copy(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Queue {
    /// Reads a receipt, `<queue>/<copy>/<delivery>`: the copy and the delivery.
    fn parse_receipt(&self, receipt: &str) -> Result<(u64, u32), Refusal> {
        let parse = || {
            let (copy, receive_count) = receipt.strip_prefix(self.settings.name)?.strip_prefix('/')?.split_once('/')?;
            Some((copy.parse().ok()?, receive_count.parse().ok()?))
        };
        parse().ok_or(Refusal::InvalidReceipt)
    }
}

impl Stored {
    /// Counts a delivery and returns the message for it.
    fn receive(&mut self, queue: &str, now_ms: u64) -> Received {
        self.receive_count += 1;
        Received {
            message_id: self.message_id.clone(),
            receipt_handle: format!("{queue}/{}/{}", self.copy, self.receive_count),
            body: self.new.body.clone(),
            md5_of_body: md5_of(&self.new.body),
            group_id: self.new.group_id.clone(),
            attributes: self.new.attributes.clone(),
            sent_ms: self.sent_ms,
            first_received_ms: *self.first_received_ms.get_or_insert(now_ms),
            receive_count: self.receive_count,
        }
    }
}

fn md5_of(body: &str) -> String {
    Md5::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
