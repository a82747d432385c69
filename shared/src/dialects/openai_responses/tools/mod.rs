//! The tools that a request offers to its model, and their names in a chat call.
//!
//! A chat call knows functions and custom tools, each by one name. A response also has namespaces of tools, tools that come
//! as items of the input, and a search for tools that the client runs.

mod choice;
mod read;

use std::collections::HashMap;

use indexmap::IndexMap;

use super::fields::{Fields, invalid};
use super::item::Item;
use super::view::View;
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// The function by which a model asks the client to search for tools.
const SEARCH: &str = "tool_search";
/// The longest name of a function, as OpenAI and Anthropic allow it.
const MOST_NAME_CHARS: usize = 64;

/// The name of a tool in a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ToolName {
    pub namespace: Option<String>,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolKind {
    Function,
    /// Its input is a text instead of JSON.
    Custom,
    /// The client searches for tools and sends them back.
    Search,
}

#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub name: ToolName,
    pub kind: ToolKind,
    /// Its name in a chat call.
    chat_name: String,
    /// The tool in the shape of a chat call.
    chat: Object,
}

/// The tools of a request, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// As the response shows them.
    shown: Vec<Object>,
    tools: Vec<Tool>,
    by_name: HashMap<ToolName, usize>,
    by_chat_name: HashMap<String, usize>,
}

impl ToolName {
    /// The name of the function by which a model searches for tools.
    pub(super) fn search() -> Self {
        Self { namespace: None, name: SEARCH.to_owned() }
    }

    /// A name for a chat call: its own, or `namespace__name`. One that is too long or taken ends in a hash.
    fn in_chat(&self, is_taken: impl Fn(&str) -> bool) -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
        let whole = match &self.namespace {
            None => self.name.clone(),
            Some(namespace) => format!("{namespace}__{}", self.name).chars().map(allowed).collect(),
        };
        let is_short = self.namespace.is_none() || whole.len() <= MOST_NAME_CHARS;
        if is_short && !is_taken(&whole) {
            return whole;
        }
        let hash = id::derive("", &[self.namespace.as_deref().unwrap_or_default(), &self.name]);
        format!("{}_{hash}", &whole[..whole.floor_char_boundary(MOST_NAME_CHARS - hash.len() - 1)])
    }
}

impl Tools {
    /// Reads a list of tools at the path `at`. Leaves out the tools that OpenAI runs and whose absence a model can bear.
    ///
    /// # Errors
    /// If a tool is invalid or not supported, or two have the same name.
    pub(super) fn read(list: &[Object], at: &str) -> Result<Self, Invalid> {
        let mut tools = Self::default();
        for (index, object) in list.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let fields = Fields::new(object, &at);
            let Some(found) = read::tool(fields)? else { continue };
            for tool in found {
                if tools.by_name.contains_key(&tool.name) {
                    let name = &tool.name.name;
                    return Err(invalid(fields.path("name"), format_args!("the name '{name}' is there twice")));
                }
                tools.push(tool);
            }
            tools.shown.push(read::shown(object));
        }
        Ok(tools)
    }

    /// These tools and those that the items bring, which were checked when the items were read. A later tool or namespace
    /// replaces an earlier one of the same name.
    #[must_use]
    pub(super) fn with_those_of<'a>(&self, items: impl Iterator<Item = &'a Item>) -> Self {
        let bring = |item: &Item| match View::read(&item.0, "") {
            Ok(View::Loaded { tools, .. }) => tools,
            _ => Vec::new(),
        };
        let more: Vec<Object> = items.filter(|item| item.may_bring_tools()).flat_map(bring).collect();
        if more.is_empty() {
            return self.clone();
        }
        let named = |tool: Object| ((tool.get::<String>("type"), tool.get::<String>("name")), tool);
        let list: IndexMap<_, Object> = self.shown.iter().cloned().chain(more).map(named).collect();
        let list: Vec<Object> = list.into_values().collect();
        Self::read(&list, "tools").unwrap_or_else(|_| self.clone())
    }

    fn push(&mut self, mut tool: Tool) {
        tool.chat_name = tool.name.in_chat(|name| self.by_chat_name.contains_key(name));
        self.by_chat_name.insert(tool.chat_name.clone(), self.tools.len());
        self.by_name.insert(tool.name.clone(), self.tools.len());
        self.tools.push(tool);
    }

    /// The tools as the response shows them.
    pub(super) fn shown(&self) -> &[Object] {
        &self.shown
    }

    /// Tells a model which tools its search found, by their names among `all` tools.
    pub(super) fn names_in(&self, all: &Self) -> String {
        let names: Vec<String> = self.tools.iter().map(|tool| all.chat_name(&tool.name)).collect();
        match names.is_empty() {
            true => "No tool was found.".to_owned(),
            false => format!("These tools can be called now: {}.", names.join(", ")),
        }
    }

    /// The tools in the shape of a chat call.
    pub(super) fn chat(&self) -> Vec<Object> {
        self.tools.iter().map(Tool::in_chat).collect()
    }

    /// The name that a tool has in chat calls. Earlier turns may have used tools that are not offered any more.
    pub(super) fn chat_name(&self, name: &ToolName) -> String {
        let known = self.by_name.get(name).map(|index| &self.tools[*index]);
        known.map_or_else(|| name.in_chat(|_| false), |tool| tool.chat_name.clone())
    }

    /// The tool that a model calls by this name.
    pub(super) fn called(&self, chat_name: &str) -> Option<&Tool> {
        self.by_chat_name.get(chat_name).map(|index| &self.tools[*index])
    }

    /// Sets the members of a chat call about tools. A chat call without tools must not have the others.
    ///
    /// # Errors
    /// If `tool_choice` is invalid or names a tool that is not there.
    pub(super) fn write(&self, request: Fields<'_>, chat: &mut Object) -> Result<(), Invalid> {
        let (choice, allowed) = choice::read(request, self)?;
        let parallel = request.optional::<bool>("parallel_tool_calls")?;
        let offered = self.tools.iter().filter(|tool| allowed.as_ref().is_none_or(|names| names.contains(&tool.name)));
        let offered: Vec<Object> = offered.map(Tool::in_chat).collect();
        if offered.is_empty() {
            return Ok(());
        }
        chat.set("tools", &offered);
        if let Some(choice) = choice {
            chat.set_raw("tool_choice", choice);
        }
        if let Some(parallel) = parallel {
            chat.set("parallel_tool_calls", &parallel);
        }
        Ok(())
    }
}

impl Tool {
    fn in_chat(&self) -> Object {
        let kind = self.kind.in_chat();
        let named = Object::default().with("name", &self.chat_name);
        let mut tool = named;
        tool.extend(&self.chat);
        Object::default().with("type", kind).with(kind, &tool)
    }
}

impl ToolKind {
    /// The type of such a tool, and of a call of it, in a chat call.
    pub(super) fn in_chat(self) -> &'static str {
        if self == Self::Custom { "custom" } else { "function" }
    }
}

#[cfg(test)]
mod tests;
