//! Presets of [`Quirks`]: servers with OpenAI's API, and what is known about them.

use super::quirks::{DeveloperRole, NoThinking, OutputLimit, Quirks, ResponsesApi, SystemPosition, Thoughts};

/// What is known about a server with OpenAI's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The value of `preset` in the models file.
    pub name: &'static str,
    /// The hosts of its base URLs. One that begins with a point is the end of a host, one that begins with a colon is a
    /// port: the default of servers that run anywhere.
    hosts: &'static [&'static str],
    developer_role: DeveloperRole,
    output_limit: OutputLimit,
    system_position: SystemPosition,
    stream_options: bool,
    custom_tools: bool,
    /// `none`, or the member of a message with the thoughts.
    reasoning_in: &'static str,
    reasoning_out: &'static str,
    no_thinking: NoThinking,
    drop: &'static [&'static str],
}

const OPENAI: Preset = Preset {
    name: "openai",
    hosts: &["api.openai.com", ".api.openai.com"],
    developer_role: DeveloperRole::Developer,
    output_limit: OutputLimit::MaxCompletionTokens,
    system_position: SystemPosition::Any,
    stream_options: true,
    custom_tools: true,
    // Its chat completions have no thoughts.
    reasoning_in: Thoughts::NONE,
    reasoning_out: "reasoning_content",
    no_thinking: NoThinking::Effort,
    drop: &[],
};

/// Knows the roles and members of OpenAI's API before its reasoning models.
const OLDER: Preset = Preset {
    name: "",
    hosts: &[],
    developer_role: DeveloperRole::System,
    output_limit: OutputLimit::MaxTokens,
    custom_tools: false,
    // Some, such as DeepSeek, refuse a turn without the thoughts that they wrote.
    reasoning_in: "reasoning_content",
    ..OPENAI
};

/// Writes a prompt with the template of the model. Many templates refuse a system message behind another message.
const TEMPLATED: Preset = Preset { system_position: SystemPosition::First, ..OLDER };

/// Hints that change no answer. Mistral answers 422 to members that it does not know.
const MISTRAL_REFUSES: &[&str] = &[
    "store",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "verbosity",
    "messages.name",
    "messages.refusal",
    "messages.annotations",
    "messages.cache_control",
    "messages.content.cache_control",
    "messages.tool_calls.cache_control",
    "tools.cache_control",
    "tools.function.cache_control",
];

/// Groq answers 400 to members of a message that it does not know.
const GROQ_REFUSES: &[&str] = &[
    "messages.refusal",
    "messages.annotations",
    "messages.cache_control",
    "messages.content.cache_control",
    "messages.tool_calls.cache_control",
];

const PRESETS: [Preset; 13] = [
    OPENAI,
    Preset {
        name: "azure",
        hosts: &[".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"],
        ..OPENAI
    },
    Preset { name: "openrouter", hosts: &["openrouter.ai"], reasoning_out: "reasoning", ..OLDER },
    // Its models think whatever effort they are given.
    Preset { name: "deepseek", hosts: &["api.deepseek.com"], no_thinking: NoThinking::Disabled, ..OLDER },
    Preset {
        name: "mistral",
        hosts: &["api.mistral.ai"],
        stream_options: false,
        reasoning_in: Thoughts::NONE,
        drop: MISTRAL_REFUSES,
        ..OLDER
    },
    Preset {
        name: "groq",
        hosts: &["api.groq.com"],
        output_limit: OutputLimit::MaxCompletionTokens,
        reasoning_in: Thoughts::NONE,
        reasoning_out: "reasoning",
        drop: GROQ_REFUSES,
        ..OLDER
    },
    Preset {
        name: "xai",
        hosts: &["api.x.ai", ".api.x.ai"],
        output_limit: OutputLimit::MaxCompletionTokens,
        // Several of its models refuse it.
        drop: &["tools.function.strict"],
        ..OLDER
    },
    Preset { name: "together", hosts: &["api.together.xyz", "api.together.ai"], reasoning_out: "reasoning", ..OLDER },
    Preset { name: "fireworks", hosts: &["api.fireworks.ai"], ..OLDER },
    Preset {
        name: "vllm",
        output_limit: OutputLimit::MaxCompletionTokens,
        // It ignores `reasoning_content` since 0.16.
        reasoning_in: "reasoning",
        reasoning_out: "reasoning",
        ..TEMPLATED
    },
    Preset { name: "ollama", hosts: &[":11434"], reasoning_in: "reasoning", reasoning_out: "reasoning", ..OLDER },
    Preset { name: "llama_cpp", ..TEMPLATED },
    // It refuses `stream_options`.
    Preset { name: "lm_studio", hosts: &[":1234"], stream_options: false, ..TEMPLATED },
];

impl Preset {
    /// The preset of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The preset for the server at a base URL, if its host or its port is known.
    #[must_use]
    pub fn of_url(base_url: &str) -> Option<&'static Self> {
        let authority = base_url.split_once("://")?.1.split('/').next()?.to_ascii_lowercase();
        let authority = authority.rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
        let host = authority.split(':').next().unwrap_or_default();
        let is_there = |known: &&str| match known.as_bytes().first() {
            Some(b':') => authority.ends_with(*known),
            Some(b'.') => host.ends_with(*known),
            _ => host == *known,
        };
        PRESETS.iter().find(|preset| preset.hosts.iter().any(is_there))
    }

    /// The options that it stands for.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        Quirks {
            output_limit: self.output_limit,
            developer_role: self.developer_role,
            system_position: self.system_position,
            stream_options: self.stream_options,
            custom_tools: self.custom_tools,
            responses: ResponsesApi::Chat,
            reasoning_in: Thoughts::named(self.reasoning_in),
            reasoning_out: Thoughts::named(self.reasoning_out),
            no_thinking: self.no_thinking,
            drop: self.drop.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

/// The names of all presets, for messages.
pub(super) fn names() -> String {
    PRESETS.map(|preset| format!("`{}`", preset.name)).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_host_or_its_port() {
        for (url, expected) in [
            ("https://api.openai.com/v1", Some("openai")),
            ("https://eu.api.openai.com/v1", Some("openai")),
            ("https://example.openai.azure.com/openai/v1", Some("azure")),
            ("https://API.mistral.ai/v1", Some("mistral")),
            ("https://user@api.x.ai:443/v1", Some("xai")),
            ("http://10.0.0.7:11434/v1", Some("ollama")),
            ("http://[::1]:1234/v1", Some("lm_studio")),
            ("http://vllm:8000/v1", None),
            ("https://notapi.openai.com.example/v1", None),
            ("api.openai.com", None),
        ] {
            assert_eq!(Preset::of_url(url).map(|preset| preset.name), expected, "{url}");
        }
    }

    #[test]
    fn a_preset_is_found_by_its_name() {
        for preset in &PRESETS {
            assert_eq!(Preset::named(preset.name), Some(preset));
        }
        assert_eq!(Preset::named(""), None);
    }
}
