//! How the API of an `openai` provider differs from OpenAI's: options of a `[[provider]]`, and presets of them.

use serde::Deserialize;
use toml::Spanned;

use super::ProviderKind;
use super::entries::Problems;
use super::presets::{self, Preset};

/// What an `openai` provider is sent in another way than OpenAI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    pub output_limit: OutputLimit,
    pub developer_role: DeveloperRole,
    pub system_position: SystemPosition,
    /// Whether a stream is asked for its usage with `stream_options`. Some servers refuse the member.
    pub stream_options: bool,
    /// Whether its models know custom tools. Others get functions with one string.
    pub custom_tools: bool,
    pub responses: ResponsesApi,
    /// Where the assistant's messages of a request have their thoughts.
    pub reasoning_in: Thoughts,
    /// Where an answer has its thoughts.
    pub reasoning_out: Thoughts,
    pub no_thinking: NoThinking,
    /// Members that are left out of a request: names, and behind a point the names of members in them. Lists are looked
    /// through: `messages.name`.
    pub drop: Vec<String>,
}

impl Default for Quirks {
    /// Those of a server that nobody knows.
    fn default() -> Self {
        Self {
            output_limit: OutputLimit::default(),
            developer_role: DeveloperRole::default(),
            system_position: SystemPosition::default(),
            stream_options: true,
            custom_tools: false,
            responses: ResponsesApi::default(),
            reasoning_in: Thoughts::default(),
            reasoning_out: Thoughts::default(),
            no_thinking: NoThinking::default(),
            drop: Vec::new(),
        }
    }
}

/// The member of a chat call in which an `openai` provider reads the limit of output tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// For OpenAI, whose newer models refuse `max_tokens`.
    #[default]
    MaxCompletionTokens,
    /// For servers with an older version of the API, which ignore `max_completion_tokens`.
    MaxTokens,
}

/// The role with which an `openai` provider gets developer messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeveloperRole {
    #[default]
    Developer,
    /// For servers that know `system`, `user`, `assistant` and `tool` only.
    System,
}

/// Where an `openai` provider takes system messages, and developer messages with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPosition {
    #[default]
    Any,
    /// For servers whose chat templates refuse one behind another message: all become one at the beginning.
    First,
}

/// How an `openai` provider gets chat calls, which responses and messages are, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponsesApi {
    /// As chat completions.
    #[default]
    Chat,
    /// As requests of the Responses API.
    Native,
}

/// How an `openai` provider is asked for an answer without thoughts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoThinking {
    /// With the effort `none`, as OpenAI.
    #[default]
    Effort,
    /// With `thinking: {"type": "disabled"}`, as `DeepSeek`.
    Disabled,
}

/// The member of a message in which an `openai` provider has the thoughts of its models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Thoughts {
    /// It is not known: the members stay as they are.
    #[default]
    Unknown,
    /// No member.
    Nowhere,
    In(String),
}

impl Thoughts {
    /// The word of the models file for [`Thoughts::Nowhere`].
    pub(super) const NONE: &'static str = "none";

    pub(super) fn named(name: &str) -> Self {
        if name == Self::NONE { Self::Nowhere } else { Self::In(name.to_owned()) }
    }
}

/// Members of a message that say something else than what the model thought.
const OTHER_MEMBERS: [&str; 12] = [
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "annotations",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "index",
    "id",
    "cache_control",
];

/// The options as the file has them.
pub(super) struct QuirksEntry {
    pub(super) preset: Option<Spanned<String>>,
    pub(super) output_limit: Option<Spanned<OutputLimit>>,
    pub(super) developer_role: Option<Spanned<DeveloperRole>>,
    pub(super) system_position: Option<Spanned<SystemPosition>>,
    pub(super) stream_options: Option<Spanned<bool>>,
    pub(super) custom_tools: Option<Spanned<bool>>,
    pub(super) responses: Option<Spanned<ResponsesApi>>,
    pub(super) reasoning_in: Option<Spanned<String>>,
    pub(super) reasoning_out: Option<Spanned<String>>,
    pub(super) no_thinking: Option<Spanned<NoThinking>>,
    pub(super) drop: Option<Spanned<Vec<String>>>,
}

/// Members that weir sets itself, or by which it limits and charges a call.
const KEPT: [&str; 10] = [
    "model",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "service_tier",
];

impl QuirksEntry {
    /// The quirks of a provider: its own options, else those of its preset. Where only the host of its base URL is known, it
    /// has the preset's role for developer messages, its custom tools, its members for thoughts and its way to have none.
    pub(super) fn resolve(self, kind: ProviderKind, base_url: Option<&str>, problems: &mut Problems) -> Quirks {
        self.check(kind, problems);
        let preset = self.preset.as_ref().and_then(|name| Preset::named(name.get_ref()));
        let by_host = base_url.and_then(Preset::of_url).filter(|_| kind == ProviderKind::Openai);
        let base = match (preset, by_host) {
            (Some(preset), _) => preset.quirks(),
            (None, Some(known)) => {
                let Quirks { output_limit, system_position, stream_options, drop, .. } = Quirks::default();
                Quirks { output_limit, system_position, stream_options, drop, ..known.quirks() }
            }
            (None, None) => Quirks::default(),
        };
        let thoughts = |name: Option<Spanned<String>>, base| name.map_or(base, |name| Thoughts::named(name.get_ref()));
        Quirks {
            output_limit: self.output_limit.map_or(base.output_limit, Spanned::into_inner),
            developer_role: self.developer_role.map_or(base.developer_role, Spanned::into_inner),
            system_position: self.system_position.map_or(base.system_position, Spanned::into_inner),
            stream_options: self.stream_options.map_or(base.stream_options, Spanned::into_inner),
            custom_tools: self.custom_tools.map_or(base.custom_tools, Spanned::into_inner),
            responses: self.responses.map_or(base.responses, Spanned::into_inner),
            reasoning_in: thoughts(self.reasoning_in, base.reasoning_in),
            reasoning_out: thoughts(self.reasoning_out, base.reasoning_out),
            no_thinking: self.no_thinking.map_or(base.no_thinking, Spanned::into_inner),
            drop: self.drop.map_or(base.drop, Spanned::into_inner),
        }
    }

    fn check(&self, kind: ProviderKind, problems: &mut Problems) {
        if kind != ProviderKind::Openai {
            for (name, at) in self.places() {
                problems.add(at, format!("`{name}` is for providers of the kind `openai`; remove it"));
            }
        }
        if let Some(name) = self.preset.as_ref().filter(|name| Preset::named(name.get_ref()).is_none()) {
            let reason = format!("`{}` is no preset; expected one of {}", name.get_ref(), presets::names());
            problems.add(name.span().start, reason);
        }
        for (option, name) in [("reasoning_in", &self.reasoning_in), ("reasoning_out", &self.reasoning_out)] {
            if let Some(name) = name {
                check_thoughts(option, name.get_ref(), name.span().start, problems);
            }
        }
        if let Some(drop) = &self.drop {
            drop.get_ref().iter().for_each(|name| check_dropped(name, drop.span().start, problems));
        }
    }

    /// The options that are set, and where.
    fn places(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            ("preset", self.preset.as_ref().map(|value| value.span().start)),
            ("output_limit", self.output_limit.as_ref().map(|value| value.span().start)),
            ("developer_role", self.developer_role.as_ref().map(|value| value.span().start)),
            ("system_position", self.system_position.as_ref().map(|value| value.span().start)),
            ("stream_options", self.stream_options.as_ref().map(|value| value.span().start)),
            ("custom_tools", self.custom_tools.as_ref().map(|value| value.span().start)),
            ("responses", self.responses.as_ref().map(|value| value.span().start)),
            ("reasoning_in", self.reasoning_in.as_ref().map(|value| value.span().start)),
            ("reasoning_out", self.reasoning_out.as_ref().map(|value| value.span().start)),
            ("no_thinking", self.no_thinking.as_ref().map(|value| value.span().start)),
            ("drop", self.drop.as_ref().map(|value| value.span().start)),
        ]
        .into_iter()
        .filter_map(|(name, at)| Some((name, at?)))
    }
}

fn check_thoughts(option: &str, name: &str, at: usize, problems: &mut Problems) {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || OTHER_MEMBERS.contains(&name) {
        let reason = format!(
            "`{option}` is `{name}`; write the member of a message with the thoughts, such as \"reasoning\", or \"{}\"",
            Thoughts::NONE
        );
        problems.add(at, reason);
    }
}

fn check_dropped(name: &str, at: usize, problems: &mut Problems) {
    if name.split('.').any(str::is_empty) {
        problems.add(at, format!("`drop` has `{name}`; write a member, or its place such as \"messages.name\""));
    }
    if KEPT.contains(&name) {
        let instead = if name == "stream_options" { "; write `stream_options = false`" } else { "" };
        problems.add(at, format!("`drop` has `{name}`, by which weir limits, charges or streams a call{instead}"));
    }
}
