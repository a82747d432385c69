//! Keeps reasoning that only its origin can read from all other models.
//!
//! A conversation may go on with another model, or at another provider. Each refuses signatures and encrypted reasoning that are not its
//! own. So they are marked with their origin when they leave, and a call takes only those along that came from its model.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use shared::model::long_work::long_work;
use shared::model::object::Object;
use shared::model::provider::{Endpoint, Event, Failure, Provider, ProviderRequest, Reply, Whole};
use shared::model::provider_batch::ProviderBatches;
use shared::model::reasoning::{Origin, ReasoningDetails};

const DETAILS: &str = "reasoning_details";

/// A provider that gets its own reasoning back.
pub(crate) struct OwnReasoning {
    inner: Arc<dyn Provider>,
    /// The name of the provider in the models file.
    name: String,
}

impl OwnReasoning {
    pub(crate) fn new(inner: Arc<dyn Provider>, name: &str) -> Self {
        Self { inner, name: name.to_owned() }
    }
}

#[async_trait]
impl Provider for OwnReasoning {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        if call.endpoint != Endpoint::ChatCompletions {
            return self.inner.send(call).await;
        }
        let origin = Origin::of(&self.name, &call.model);
        let call = match long_work(call.body.bytes(), || with_own(&call.body, &origin)) {
            Some(body) => Cow::Owned(ProviderRequest { body, ..call.clone() }),
            None => Cow::Borrowed(call),
        };
        Ok(match self.inner.send(&call).await? {
            Reply::Whole(whole) => {
                let body = long_work(whole.body.len(), || marked(&whole.body, "message", &origin));
                Reply::from(Whole { body: body.unwrap_or(whole.body), ..*whole })
            }
            Reply::Stream(events) => {
                let mark =
                    move |Event { data, usage }| Event { data: marked(&data, "delta", &origin).unwrap_or(data), usage };
                Reply::Stream(events.map(move |event| event.map(&mark)).boxed())
            }
        })
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        self.inner.batches()
    }
}

/// The body with the reasoning that `origin` may get; `None` if it has none of any model.
fn with_own(body: &Object, origin: &Origin) -> Option<Object> {
    body.text("messages").filter(|text| text.contains(DETAILS))?;
    let messages: Vec<Box<RawValue>> = body.get("messages")?;
    let messages: Vec<Box<RawValue>> =
        messages.into_iter().map(|message| of_message(&message, origin).unwrap_or(message)).collect();
    Some(body.clone().with("messages", &messages))
}

fn of_message(message: &RawValue, origin: &Origin) -> Option<Box<RawValue>> {
    let mut message: Object = serde_json::from_str(message.get()).ok().filter(|_| message.get().contains(DETAILS))?;
    let own = ReasoningDetails::read(&message.get::<Box<RawValue>>(DETAILS)?).of(origin);
    if own.is_empty() {
        message.remove(DETAILS);
    } else {
        message.set(DETAILS, &own);
    }
    serde_json::value::to_raw_value(&message).ok()
}

/// An answer or a chunk with its reasoning marked; `None` if it has none. `member` of a choice has the reasoning.
fn marked(body: &Bytes, member: &str, origin: &Origin) -> Option<Bytes> {
    // Most chunks have none. A look at the text is faster than a look at its members.
    std::str::from_utf8(body).ok().filter(|text| text.contains(DETAILS))?;
    let mut answer = Object::parse(body).ok()?;
    let mut choices: Vec<Object> = answer.get("choices")?;
    for choice in &mut choices {
        let Some(mut message) = choice.get::<Object>(member) else { continue };
        let Some(details) = message.get::<Box<RawValue>>(DETAILS) else { continue };
        message.set(DETAILS, &ReasoningDetails::read(&details).marked(origin));
        choice.set(member, &message);
    }
    answer.set("choices", &choices);
    Some(answer.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_to_its_model_as_it_was() {
        let (own, other) = (Origin::of("a", "m"), Origin::of("b", "m"));
        let message = r#"{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s","n":1.0}]}"#;
        let answer = Bytes::from(format!(r#"{{"id":"1","choices":[{{"index":0,"message":{message}}}]}}"#));
        let told = Object::parse(&marked(&answer, "message", &own).unwrap()).unwrap();
        let choice = told.get::<Vec<Object>>("choices").unwrap().remove(0);
        let told = choice.get::<Object>("message").unwrap();
        assert!(!told.text(DETAILS).unwrap().contains(r#""s""#));
        let body = Object::default().with("messages", &[told]);
        let sent = |origin| with_own(&body, origin).unwrap().text("messages").unwrap().to_owned();
        assert_eq!(sent(&own), format!("[{message}]"));
        assert_eq!(sent(&other), r#"[{"role":"assistant","content":"x"}]"#);
    }

    #[test]
    fn answers_and_bodies_without_reasoning_stay_to_the_byte() {
        let origin = Origin::of("a", "m");
        assert!(marked(&Bytes::from_static(br#"{"choices":[{"delta":{"content":"a"}}]}"#), "delta", &origin).is_none());
        assert!(
            with_own(&Object::parse(br#"{"messages":[{"role":"user","content":"a"}]}"#).unwrap(), &origin).is_none()
        );
    }
}
