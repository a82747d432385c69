//! What the families of Claude models accept. Anthropic's API refuses a call that has anything else.

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub thinking: ThinkingKind,
    /// Whether it has the effort `xhigh`. All families with an effort have the others.
    pub has_xhigh: bool,
    /// Whether it may think although a tool is forced.
    pub thinks_before_forced_tool: bool,
    pub unasked: Unasked,
    pub sampling: Sampling,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingKind {
    /// It cannot.
    Never,
    /// Within a budget of tokens.
    Budget,
    /// With an effort: it decides itself how long.
    Adaptive,
}

/// Whether a model thinks that was not asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    No,
    /// Unless it is told not to.
    Yes,
    /// It cannot be told not to.
    Always,
}

/// Which of `temperature` and `top_p` a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    Both,
    One,
    Neither,
}

const CLAUDE_3: Family = Family {
    thinking: ThinkingKind::Never,
    has_xhigh: false,
    thinks_before_forced_tool: false,
    unasked: Unasked::No,
    sampling: Sampling::Both,
};
const CLAUDE_4: Family = Family { thinking: ThinkingKind::Budget, ..CLAUDE_3 };
const CLAUDE_4_1: Family = Family { sampling: Sampling::One, ..CLAUDE_4 };
const CLAUDE_4_6: Family = Family { thinking: ThinkingKind::Adaptive, ..CLAUDE_4_1 };
const CLAUDE_4_7: Family = Family { has_xhigh: true, sampling: Sampling::Neither, ..CLAUDE_4_6 };
const CLAUDE_4_8: Family = Family { thinks_before_forced_tool: true, ..CLAUDE_4_7 };
const CLAUDE_5: Family = Family { unasked: Unasked::Yes, ..CLAUDE_4_8 };
const CLAUDE_5_5: Family = Family { unasked: Unasked::Always, ..CLAUDE_4_8 };
/// A model of another maker behind Anthropic's API.
const OTHER: Family = Family { sampling: Sampling::Both, ..CLAUDE_4_8 };

/// The families by a part of their models' names. `$` stands for the end of a name. The first that fits counts.
const FAMILIES: [(&str, Family); 28] = [
    ("claude-instant", CLAUDE_3),
    ("claude-v2", CLAUDE_3),
    ("claude-2", CLAUDE_3),
    ("claude-3-7", CLAUDE_4),
    ("claude-3", CLAUDE_3),
    ("sonnet-4-0", CLAUDE_4),
    ("sonnet-4-2025", CLAUDE_4),
    ("sonnet-4$", CLAUDE_4),
    ("opus-4-0", CLAUDE_4),
    ("opus-4-2025", CLAUDE_4),
    ("opus-4$", CLAUDE_4),
    ("opus-4-1", CLAUDE_4_1),
    ("opus-4-5", CLAUDE_4_1),
    ("sonnet-4-5", CLAUDE_4_1),
    ("haiku-4-5", CLAUDE_4_1),
    ("opus-4-6", CLAUDE_4_6),
    ("sonnet-4-6", CLAUDE_4_6),
    ("opus-4-7", CLAUDE_4_7),
    ("opus-4-8", CLAUDE_4_8),
    ("opus-5-5", CLAUDE_5_5),
    ("sonnet-5-5", CLAUDE_5_5),
    ("opus-5", CLAUDE_5),
    ("sonnet-5", CLAUDE_5),
    ("haiku-5", CLAUDE_5),
    ("claude-fable", CLAUDE_5_5),
    ("claude-mythos", CLAUDE_5_5),
    // Later models are taken for the latest.
    ("claude", CLAUDE_5_5),
    ("", OTHER),
];

impl Family {
    /// The family of a model, by its name at Anthropic or Bedrock.
    pub(crate) fn of(model: &str) -> Self {
        let name = model.to_ascii_lowercase().replace(['.', '@', '_'], "-") + "$";
        FAMILIES.iter().find(|(part, _)| name.contains(part)).map_or(OTHER, |(_, family)| *family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_its_family_under_each_of_its_names() {
        for (model, family) in [
            ("claude-3-5-sonnet-20241022", CLAUDE_3),
            ("anthropic.claude-v2:1", CLAUDE_3),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", CLAUDE_4),
            ("claude-sonnet-4@20250514", CLAUDE_4),
            ("claude-opus-4", CLAUDE_4),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", CLAUDE_4_1),
            ("claude-opus-4.1", CLAUDE_4_1),
            ("claude-sonnet-4-6", CLAUDE_4_6),
            ("claude-opus-4-7-20260416", CLAUDE_4_7),
            ("claude-opus-5", CLAUDE_5),
            ("global.anthropic.claude-sonnet-5-5", CLAUDE_5_5),
            ("claude-haiku-5-5", CLAUDE_5),
            ("claude-later-9", CLAUDE_5_5),
            ("glm-5", OTHER),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
