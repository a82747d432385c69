//! The messages of a call.
//!
//! Anthropic takes neighbours of one role for one message, and has the results of tools in messages of the user. A chat completion has
//! them in messages of their own directly behind the calls.

use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::assistant::Assistant;
use super::content::{Part, content};
use super::{Accepts, blocks, present, required, results, tool_changes};
use crate::conversation::invalid_request;

/// Stands between the blocks of a message, which Anthropic's models tell apart.
const APART: &str = "\n\n";

/// The messages so far.
#[derive(Default)]
pub(super) struct History {
    messages: Vec<Message>,
    /// The last message of the assistant, if it calls tools: the next results belong to it.
    calling: Option<usize>,
    /// Tools that are defined in messages.
    pub tools: Vec<Object>,
    /// The latest effort that a message asks for.
    pub effort: Option<String>,
}

enum Message {
    System(Vec<Part>),
    User(Vec<Part>),
    /// With the results of the tools that it calls.
    Assistant(Assistant, Vec<Answer>),
    /// A result without calls. The provider refuses it.
    Answer(Answer),
}

/// The message of a tool.
struct Answer {
    id: String,
    text: Vec<Part>,
}

/// Reads `system` and `messages`.
///
/// # Errors
/// `Unsupported` for blocks that a chat completion cannot express. `Refused` if a message is invalid.
pub(super) fn read(body: &Object) -> Result<History, Failure> {
    let mut history = History::default();
    if present::<Box<RawValue>>(body, "system", "")?.is_some() {
        history.system(&blocks::of_content(body, "system", "")?, "system")?;
    }
    let messages: Vec<Object> = required(body, "messages", "")?;
    for (index, message) in messages.iter().enumerate() {
        history.add(message, &format!("messages[{index}]"))?;
    }
    Ok(history)
}

impl History {
    fn add(&mut self, message: &Object, at: &str) -> Result<(), Failure> {
        let role: String = required(message, "role", at)?;
        let blocks = blocks::of_content(message, "content", at)?;
        let at_content = format!("{at}.content");
        match role.as_str() {
            "user" => self.user(&blocks, &at_content),
            "assistant" => self.assistant(&blocks, &at_content),
            "system" => {
                let config: Object = message.get("output_config").unwrap_or_default();
                self.effort = config.get("effort").or(self.effort.take());
                self.system(&blocks, &at_content)
            }
            other => {
                Err(invalid_request(format!("{at}.role"), format!("{at}.role: `{other}` is no role of a message")))
            }
        }
    }

    fn system(&mut self, blocks: &[Object], at: &str) -> Result<(), Failure> {
        let mut parts = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            parts.extend(blocks::parts(block, &format!("{at}[{index}]"))?);
            self.tools.extend(tool_changes::definitions(block));
        }
        if !parts.is_empty() {
            self.messages.push(Message::System(parts));
        }
        Ok(())
    }

    fn user(&mut self, blocks: &[Object], at: &str) -> Result<(), Failure> {
        let (mut attached, mut said) = (Vec::new(), Vec::new());
        for (index, block) in blocks.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if blocks::kind(block, &at)? == "tool_result" {
                let result = results::read(block, &at)?;
                attached.extend(result.attached);
                self.answer(Answer { id: result.id, text: result.text });
            } else {
                said.extend(blocks::parts(block, &at)?);
            }
        }
        let mut parts = attached;
        parts.extend(said);
        match self.messages.last_mut() {
            _ if parts.is_empty() => {}
            Some(Message::User(before)) => before.extend(parts),
            _ => self.messages.push(Message::User(parts)),
        }
        Ok(())
    }

    /// Adds a result behind the calls that it belongs to.
    fn answer(&mut self, answer: Answer) {
        match self.calling.and_then(|at| self.messages.get_mut(at)) {
            Some(Message::Assistant(_, answers)) => answers.push(answer),
            _ => self.messages.push(Message::Answer(answer)),
        }
    }

    fn assistant(&mut self, blocks: &[Object], at: &str) -> Result<(), Failure> {
        let is_open = |message: &mut Message| matches!(message, Message::Assistant(_, answers) if answers.is_empty());
        let mut assistant = match self.messages.pop_if(is_open) {
            Some(Message::Assistant(before, _)) => before,
            _ => Assistant::default(),
        };
        for (index, block) in blocks.iter().enumerate() {
            assistant.add(block, &format!("{at}[{index}]"))?;
        }
        self.calling = assistant.calls_tools().then_some(self.messages.len());
        self.messages.push(Message::Assistant(assistant, Vec::new()));
        Ok(())
    }

    /// The messages of the chat completion.
    pub(super) fn messages(&self, accepts: Accepts) -> Vec<Object> {
        self.messages.iter().flat_map(|message| message.json(accepts)).collect()
    }
}

impl Message {
    fn json(&self, accepts: Accepts) -> Vec<Object> {
        let of = |role: &str, parts: &[Part]| {
            vec![Object::default().with("role", role).with("content", &content(parts, APART, accepts.marks))]
        };
        match self {
            Self::System(parts) => of("system", parts),
            Self::User(parts) => of("user", parts),
            Self::Assistant(assistant, answers) => {
                let said = assistant.message(accepts);
                said.into_iter().chain(answers.iter().map(|answer| answer.json(accepts))).collect()
            }
            Self::Answer(answer) => vec![answer.json(accepts)],
        }
    }
}

impl Answer {
    fn json(&self, accepts: Accepts) -> Object {
        Object::default()
            .with("role", "tool")
            .with("tool_call_id", &self.id)
            .with("content", &content(&self.text, APART, accepts.marks))
    }
}
