//! Following a response: its events are read from the record, from any instance, while it runs and after.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::CLOSING_MS;
use super::accept::WATCH_MS;
use crate::app::answer::{Answer, CallMetadata, ResponseSender};
use crate::app::dispatch::ErrorChain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::idempotency::pause;
use crate::app::stream;
use crate::data::EventReader;
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;
use crate::model::project::Caller;

/// The longest that one request follows where the function has no end of its own.
const LONGEST: Duration = Duration::from_secs(3_600);

impl Gateway {
    /// The events of a response after `starting_after`, or all of them; then those that come, until it ends or this
    /// request must.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response has no events; `Internal`.
    pub async fn stream_response(
        self: &Arc<Self>,
        caller: &Caller,
        response_id: &str,
        starting_after: Option<u64>,
        function_ends: Option<Timestamp>,
    ) -> Result<Answer, Error> {
        let found = self.visible(caller, response_id).await?;
        if found.record.next_sequence == 0 {
            let message = format!(
                "Response '{response_id}' has no events: it was made neither with stream=true nor with background=true."
            );
            return Err(Invalid::field("stream", message).into());
        }
        let left =
            function_ends.map(|ends| Duration::from_millis(self.clock.now().until(ends).saturating_sub(CLOSING_MS)));
        let deadline = Instant::now() + left.unwrap_or(LONGEST);
        let (mut sender, answer) = ResponseSender::new(deadline);
        let facts = CallMetadata { model: found.record.model, ..CallMetadata::default() };
        sender.begin(Answer::head(200, stream::CONTENT_TYPE, None, facts));
        let (gateway, key) = (Arc::clone(self), found.record.key);
        self.spawn(async move {
            Box::pin(gateway.follow_events(&key, EventReader::after(starting_after), deadline, &mut sender)).await;
        });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("follow the response")(lost)))
    }

    /// Sends the events of a response to a client until it has all of them, leaves, or has no more time: it can go on
    /// with another request then.
    pub(super) async fn follow_events(
        &self,
        key: &ResponseKey,
        mut reader: EventReader,
        deadline: Instant,
        sender: &mut ResponseSender,
    ) {
        let mut watched_until = Timestamp::default();
        let mut waited = 0;
        while !sender.is_abandoned() && Instant::now() < deadline {
            match self.stores.follow_response(key, &mut reader).await {
                Ok(None) => return,
                Ok(Some((record, _))) if record.deleted => return,
                Ok(Some((record, events))) => {
                    if !events.is_empty() {
                        sender.send(events).await;
                        waited = 0;
                    }
                    if let Some(end) = reader.of_the_end(&record) {
                        // A run that died had told more than it wrote down: what the client lacks is the end.
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
            waited = pause(waited).await;
        }
    }

    async fn watch(&self, key: &ResponseKey, until: Timestamp) {
        if let Err(error) = self.stores.watch_response(key, until).await {
            tracing::warn!(error = %ErrorChain(&error), "response not marked as watched");
        }
    }
}
