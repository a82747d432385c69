//! Following a response: any instance reads its events from the record, while it runs and after.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Responses;
use super::accept::WATCH_MS;
use crate::app::answer::{CallAnswer, CallMetadata, Head, ResponseSender};
use crate::app::error::Error;
use crate::app::pipeline::TimeLimit;
use crate::data::EventReader;
use crate::model::backoff::Backoff;
use crate::model::clock::Timestamp;
use crate::model::error_chain::ErrorChain;
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;
use crate::model::project::Caller;

/// How often the record is read while no event comes.
const POLL: Backoff = Backoff::new(20, 500);

/// The longest that one request follows where the function has no end of its own.
const LONGEST: Duration = Duration::from_secs(3_600);

impl Responses {
    /// Streams the events of a response after `starting_after`, or all of them; then its new ones, until it ends or the
    /// function must.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response has no events; a store's failure.
    pub async fn stream(
        self: &Arc<Self>,
        caller: &Caller,
        response_id: &str,
        starting_after: Option<u64>,
        function_ends: Option<Timestamp>,
    ) -> Result<CallAnswer, Error> {
        let found = self.find_visible(caller, response_id).await?;
        if found.record.next_sequence == 0 {
            let message = format!(
                "Response '{response_id}' has no events: it was made neither with stream=true nor with background=true."
            );
            return Err(Invalid::field("stream", message).into());
        }
        let deadline = TimeLimit::new(&self.clock, LONGEST, function_ends).deadline;
        let (mut sender, answer) = ResponseSender::new(deadline);
        let metadata = CallMetadata { model: found.record.model, ..CallMetadata::default() };
        sender.begin(Head::stream(metadata));
        let (responses, key) = (Arc::clone(self), found.record.key);
        self.pipeline.tasks.spawn(async move {
            Box::pin(responses.follow_events(&key, EventReader::after(starting_after), deadline, &mut sender)).await;
        });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("follow the response")(lost)))
    }

    /// Sends the events of a response to a client until it has all of them, leaves, or has no more time. Then it can go on
    /// with another request.
    pub(super) async fn follow_events(
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
                        self.watch(key, now.plus_ms(WATCH_MS)).await;
                    }
                }
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "events not read yet"),
            }
            POLL.wait(tried).await;
            tried += 1;
        }
    }

    /// Marks the response as followed, so that its run writes events more often.
    async fn watch(&self, key: &ResponseKey, until: Timestamp) {
        if let Err(error) = self.records.watch(key, until).await {
            tracing::warn!(error = %ErrorChain(&error), "response not marked as watched");
        }
    }
}
