//! What the families of Gemini models accept. Google's API refuses some members that a family does not have.

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub thinking: ThinkingKind,
    /// Whether it takes `temperature` and `topP`. Later models ignore or refuse them.
    pub samples: bool,
    /// Whether it refuses a call of a tool in the current turn that has no signature, and takes media in a tool's result.
    pub signs: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThinkingKind {
    /// It cannot.
    Never,
    /// Within a budget of at most `max` tokens. `min` is as little thinking as it can do.
    Budget { min: u32, max: u32 },
    /// With a level from `lowest` to `highest`: it decides itself how long.
    Level { lowest: Level, highest: Level },
}

/// A level of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Minimal => "MINIMAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::XHigh => "XHIGH",
        }
    }
}

impl Family {
    /// The family of a model. Names without a version, such as `gemini-flash-latest`, stand for the newest models.
    pub(super) fn of(model: &str) -> Self {
        let Some((_, name)) = model.split_once("gemini-") else {
            return Self { thinking: ThinkingKind::Never, samples: true, signs: false };
        };
        let version = version(name);
        let (is_flash, is_lite) = (name.contains("flash"), name.contains("flash-lite"));
        let samples = match version {
            Some(version) => version < (3, 5) || (version == (3, 5) && !is_lite),
            None => false,
        };
        match version {
            Some(version) if version < (2, 5) => Self { thinking: ThinkingKind::Never, samples, signs: false },
            Some(version) if version < (3, 0) => Self { thinking: budget(is_flash), samples, signs: false },
            _ => {
                let has_minimal = is_lite || (is_flash && version.is_some_and(|version| version < (3, 7)));
                let lowest = if has_minimal { Level::Minimal } else { Level::Low };
                let highest = if name.starts_with("4-hydrogen") { Level::XHigh } else { Level::High };
                Self { thinking: ThinkingKind::Level { lowest, highest }, samples, signs: true }
            }
        }
    }
}

/// Only the Pro models always think.
fn budget(is_flash: bool) -> ThinkingKind {
    if is_flash {
        return ThinkingKind::Budget { min: 0, max: 24_576 };
    }
    ThinkingKind::Budget { min: 128, max: 32_768 }
}

/// The version at the begin of a name: 2 and 5 of `2.5-flash`.
fn version(name: &str) -> Option<(u32, u32)> {
    let version = name.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_family() {
        let level = |lowest, highest| ThinkingKind::Level { lowest, highest };
        let flash = ThinkingKind::Budget { min: 0, max: 24_576 };
        let pro = ThinkingKind::Budget { min: 128, max: 32_768 };
        for (model, thinking, samples, signs) in [
            ("gemma-3-27b-it", ThinkingKind::Never, true, false),
            ("gemini-2.0-flash", ThinkingKind::Never, true, false),
            ("gemini-2.5-flash", flash, true, false),
            ("gemini-2.5-flash-lite", flash, true, false),
            ("models/gemini-2.5-pro", pro, true, false),
            ("gemini-3-flash-preview", level(Level::Minimal, Level::High), true, true),
            ("gemini-3.1-pro-preview", level(Level::Low, Level::High), true, true),
            ("gemini-3.5-flash", level(Level::Minimal, Level::High), true, true),
            ("gemini-3.5-flash-lite", level(Level::Minimal, Level::High), false, true),
            ("gemini-3.6-flash", level(Level::Minimal, Level::High), false, true),
            ("gemini-3.8-flash", level(Level::Low, Level::High), false, true),
            ("gemini-4-argon", level(Level::Low, Level::High), false, true),
            ("gemini-4-hydrogen", level(Level::Low, Level::XHigh), false, true),
            ("gemini-flash-latest", level(Level::Low, Level::High), false, true),
            ("gemini-flash-lite-latest", level(Level::Minimal, Level::High), false, true),
        ] {
            assert_eq!(Family::of(model), Family { thinking, samples, signs }, "{model}");
        }
    }
}
