//! Passes the events of a stream on, and watches for errors, the usage and the end.
//!
//! A `ping` passes, too: a model that thinks without telling its thoughts sends nothing else for minutes, and the limit on the time between
//! two events must not end its answer.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::model::provider::{Event, Failure};
use shared::model::tokens::Usage;

use super::Counts;
use crate::http::{ErrorBody, SseEvent, failure_of_event};
use crate::translate::{Step, Translate};

/// The state of one stream.
#[derive(Default)]
pub(crate) struct Events {
    /// Those of the start have the tokens that are stored for an hour, which later ones lack.
    counts: Counts,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Start {
    message: Counted,
}

#[derive(Default, Deserialize)]
struct Counted {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    error: Value,
}

impl Events {
    /// The usage that an event reports. That of the start is none: an answer that breaks off has cost more.
    fn usage(&mut self, kind: &str, data: &str) -> Result<Option<Usage>, Failure> {
        let counted: Counted = match kind {
            "message_start" => read::<Start>(data)?.message,
            "message_delta" => read(data)?,
            _ => return Ok(None),
        };
        let Some(newer) = counted.usage else { return Ok(None) };
        self.counts = self.counts.updated_by(newer);
        Ok((kind == "message_delta").then(|| self.counts.usage()))
    }
}

impl Translate for Events {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        let kind = read::<Head>(&event.data)?.kind;
        if kind == "error" {
            let error = ErrorBody::of(&read::<Error>(&event.data)?.error);
            return Err(failure_of_event(&error.unwrap_or_default()));
        }
        let usage = self.usage(&kind, &event.data)?;
        let events = vec![Event { data: event.data.into(), usage }];
        Ok(if kind == "message_stop" { Step::Last(events) } else { Step::More(events) })
    }

    /// Clients of this API wait for `message_stop`.
    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        Err(Failure::Malformed("the stream ended before the answer did".to_owned()))
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| Failure::Malformed(format!("an event is not Anthropic's: {error}")))
}
