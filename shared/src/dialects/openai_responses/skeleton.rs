//! The response object before any output.

use serde_json::value::RawValue;

use super::create::CreateResponse;
use super::item::Item;
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::response::Status;

/// Members that are echoed, each with its default, in OpenAI's order.
const ECHOED_FIRST: [(&str, &str); 4] =
    [("instructions", "null"), ("max_output_tokens", "null"), ("max_tool_calls", "null"), ("model", "null")];
const ECHOED_LAST: [(&str, &str); 9] = [
    ("safety_identifier", "null"),
    ("service_tier", "\"auto\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", "{}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
];

impl CreateResponse {
    /// The response before any output, with all members of OpenAI's responses. `context` has the items of earlier turns.
    #[must_use]
    pub fn skeleton(&self, context: &[Item], now: Timestamp, status: Status) -> Object {
        let mut response = Object::default()
            .with("id", &self.id)
            .with("object", "response")
            .with("created_at", &now.seconds())
            .with("status", status.name())
            .with("background", &self.background)
            .with("completed_at", &())
            .with("conversation", &self.conversation.as_ref().map(|id| Object::default().with("id", id)))
            .with("error", &())
            .with("incomplete_details", &());
        self.echo(&ECHOED_FIRST, &mut response);
        response.set("output", &[(); 0]);
        self.echo(&[("parallel_tool_calls", "true")], &mut response);
        response.set("previous_response_id", &self.previous_response_id);
        self.echo(&[("prompt_cache_key", "null"), ("prompt_cache_retention", "null")], &mut response);
        response.set("reasoning", &self.reasoning());
        self.echo(&ECHOED_LAST, &mut response);
        response.set("text", &self.text());
        response.set("tools", self.tools(context).shown());
        self.echo(&[("truncation", "\"disabled\"")], &mut response);
        response.set("usage", &());
        self.echo(&[("user", "null"), ("metadata", "{}")], &mut response);
        response
    }

    fn echo(&self, members: &[(&str, &str)], response: &mut Object) {
        for (name, default) in members {
            let sent = self.object.text(name).filter(|text| *text != "null");
            set_text(response, name, sent.unwrap_or(default));
        }
    }

    fn reasoning(&self) -> Object {
        let sent: Object = self.object.get("reasoning").unwrap_or_default();
        with_defaults(sent, &[("effort", "null"), ("summary", "null")])
    }

    fn text(&self) -> Object {
        let sent: Object = self.object.get("text").unwrap_or_default();
        with_defaults(sent, &[("format", r#"{"type":"text"}"#), ("verbosity", "\"medium\"")])
    }
}

/// Adds the members that are absent or `null`.
fn with_defaults(mut object: Object, defaults: &[(&str, &str)]) -> Object {
    for (name, default) in defaults {
        if object.text(name).is_none_or(|text| text == "null") {
            set_text(&mut object, name, default);
        }
    }
    object
}

/// Sets a member to JSON text.
fn set_text(object: &mut Object, name: &str, text: &str) {
    if let Ok(text) = RawValue::from_string(text.to_owned()) {
        object.set_raw(name, text);
    }
}
