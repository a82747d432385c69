//! Following a response: any instance reads its events from the record, while it runs and after.

use tokio::time::Instant;

use crate::app::answer::ResponseSender;
use crate::app::error::Error;
use crate::app::slots::Slots;
use crate::data::{EventReader, ProjectRecords, ResponseRecords, Stores};
use crate::model::backoff::Backoff;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::message::ResponseKey;
use crate::model::project::Project;
use crate::model::response::Status;
use crate::model::slot::Slot;

/// How often the record is read while no event comes.
const POLL: Backoff = Backoff::new(20, 500);

/// A request that follows a response makes its run write events more often for this long.
pub(super) const WATCH_MS: u64 = 30_000;

/// Sends the events of stored responses.
#[derive(Clone)]
pub(in crate::app) struct Follower {
    records: ResponseRecords,
    projects: ProjectRecords,
    slots: Slots,
    clock: Clock,
}

impl Follower {
    pub(in crate::app) fn new(stores: &Stores, clock: Clock) -> Self {
        let slots = Slots::new(stores.slots(), clock.clone());
        Self { records: stores.responses(), projects: stores.projects(), slots, clock }
    }

    /// Takes a slot for a request that follows a response. `None`: the response has ended, its events are sent at once.
    ///
    /// # Errors
    /// `Refused` if as many requests of the project follow as may at the same time.
    pub(super) async fn admit(&self, project: &Project, status: Status) -> Result<Option<Slot>, Error> {
        if status.is_terminal() {
            return Ok(None);
        }
        self.slots.take_to_follow(project).await.map(Some)
    }

    /// Frees the slot of a request that does not follow after all.
    pub(super) async fn dismiss(&self, slot: &Slot) {
        self.slots.free(slot).await;
    }

    /// Sends the events of a response to a client until it has all of them, leaves, or has no more time. Then it can go on
    /// with another request, unless its project was archived meanwhile.
    pub(super) async fn follow(
        &self,
        slot: Option<&Slot>,
        key: &ResponseKey,
        reader: EventReader,
        deadline: Instant,
        sender: &mut ResponseSender,
    ) {
        let sent = self.send_events(key, reader, deadline, sender);
        match slot {
            Some(slot) => self.slots.keep(slot, sent).await,
            None => sent.await,
        }
    }

    async fn send_events(
        &self,
        key: &ResponseKey,
        mut reader: EventReader,
        deadline: Instant,
        sender: &mut ResponseSender,
    ) {
        let mut watched_until = Timestamp::default();
        let mut tried = 0;
        while !sender.is_abandoned() && Instant::now() < deadline {
            match self.records.read_events(key, &mut reader).await {
                Ok(None) => return,
                Ok(Some((record, _))) if record.deleted => return,
                Ok(Some((record, events))) => {
                    if !events.is_empty() {
                        sender.send(events).await;
                        tried = 0;
                    }
                    if let Some(end) = reader.of_the_end(&record) {
                        // A dead run had sent more events than it wrote: the client lacks only the end.
                        reader = end;
                        continue;
                    }
                    if record.status.is_terminal() && reader.is_at_end(&record) {
                        return;
                    }
                    let now = self.clock.now();
                    if watched_until <= now {
                        watched_until = now.plus_ms(WATCH_MS / 2);
                        let ((), is_archived) =
                            tokio::join!(self.watch(key, now.plus_ms(WATCH_MS)), self.is_archived(&key.project_id));
                        if is_archived {
                            return sender.interrupt("The project was archived.").await;
                        }
                    }
                }
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "events not read yet"),
            }
            POLL.wait(tried).await;
            tried += 1;
        }
    }

    async fn is_archived(&self, project_id: &str) -> bool {
        match self.projects.get(project_id).await {
            Ok(project) => project.is_some_and(|project| project.archived_at.is_some()),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "project of a followed response not read");
                false
            }
        }
    }

    /// Marks the response as followed, so that its run writes events more often.
    async fn watch(&self, key: &ResponseKey, until: Timestamp) {
        if let Err(error) = self.records.watch(key, until).await {
            tracing::warn!(error = %ErrorChain(&error), "response not marked as watched");
        }
    }
}
