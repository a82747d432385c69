//! Where the events of a run go: to the client that waits, and into the record for all others.

use super::{EventLog, RunLost};
use crate::app::answer::ResponseSender;
use crate::dialects::openai_responses::ResponseEvent;

/// Takes the events of a run. It may have no client, no record, or neither.
#[derive(Default)]
pub(in crate::app) struct EventSink<'a> {
    pub(in crate::app) sender: Option<&'a mut ResponseSender>,
    pub(in crate::app) log: Option<EventLog>,
}

impl EventSink<'_> {
    /// Sends the events, and writes the log if it is due.
    ///
    /// # Errors
    /// `RunLost` if the run may not go on.
    pub(in crate::app) async fn emit(&mut self, events: &[ResponseEvent]) -> Result<(), RunLost> {
        self.note(events);
        for event in events {
            self.send_with_heartbeats(event).await?;
        }
        match &mut self.log {
            Some(log) if log.is_due() => log.write().await,
            _ => Ok(()),
        }
    }

    /// Sends an event to a client that may be slow. The run keeps its lease meanwhile.
    async fn send_with_heartbeats(&mut self, event: &ResponseEvent) -> Result<(), RunLost> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let Some(log) = &mut self.log else {
            sender.send(event.sse()).await;
            return Ok(());
        };
        loop {
            // An event that was not sent when the heartbeat came is sent again.
            tokio::select! {
                biased;
                () = sender.send(event.sse()) => return Ok(()),
                () = tokio::time::sleep_until(log.due_at()) => log.write().await?,
            }
        }
    }

    /// Adds the events to the log, which writes them with the next ones or with the end.
    pub(in crate::app) fn note(&mut self, events: &[ResponseEvent]) {
        if let Some(log) = &mut self.log {
            events.iter().for_each(|event| log.add(event));
        }
    }

    /// Sends the events to the client.
    pub(in crate::app) async fn send(&mut self, events: &[ResponseEvent]) {
        if let Some(sender) = &mut self.sender {
            for event in events {
                sender.send(event.sse()).await;
            }
        }
    }

    /// Resolves when the log is to be written although no event came; never without a log.
    pub(in crate::app) async fn heartbeat_due(&self) {
        match &self.log {
            Some(log) => tokio::time::sleep_until(log.due_at()).await,
            None => std::future::pending().await,
        }
    }

    /// Writes the log, or only renews the lease.
    ///
    /// # Errors
    /// `RunLost` if the run may not go on.
    pub(in crate::app) async fn heartbeat(&mut self) -> Result<(), RunLost> {
        match &mut self.log {
            Some(log) => log.write().await,
            None => Ok(()),
        }
    }

    pub(super) fn note_output(&mut self, bytes: u64) {
        if let Some(log) = &mut self.log {
            log.note_output(bytes);
        }
    }
}
