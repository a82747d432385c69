//! Marks up to which Bedrock keeps the input: a `cachePoint` behind a block.

use aws_sdk_bedrockruntime::types::{CachePointBlock, CachePointType, CacheTtl};
use shared::model::provider::Failure;

use super::built;
use super::map::is_claude;
use crate::anthropic::family::{Family, ThinkingKind};
use crate::conversation::CacheMark;

/// The marks that a model takes. Bedrock refuses a call of another model with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Points {
    /// Claude from 3.7 on, and a model whose name is not known: an ARN.
    All,
    /// Nova: in messages and system texts, for five minutes.
    Short,
    None,
}

impl Points {
    pub(super) fn of(model: &str) -> Self {
        if is_claude(model) {
            // The models without a cache are among those that cannot think.
            if Family::of(model).thinking == ThinkingKind::Never { Self::None } else { Self::All }
        } else if model.starts_with("arn:") {
            Self::All
        } else if model.contains("amazon.nova") {
            Self::Short
        } else {
            Self::None
        }
    }

    /// The point for a mark in a message or a system text.
    pub(super) fn behind(self, mark: CacheMark) -> Option<Result<CachePointBlock, Failure>> {
        match self {
            Self::All => Some(point(mark.ttl)),
            Self::Short => Some(point(None)),
            Self::None => None,
        }
    }

    /// The point for a mark on a tool.
    pub(super) fn behind_tool(self, mark: CacheMark) -> Option<Result<CachePointBlock, Failure>> {
        (self == Self::All).then(|| point(mark.ttl))
    }
}

fn point(ttl: Option<&str>) -> Result<CachePointBlock, Failure> {
    let block = CachePointBlock::builder().r#type(CachePointType::Default).set_ttl(ttl.map(CacheTtl::from));
    built(block.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_take_the_points_that_they_know() {
        for (model, expected) in [
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", Points::All),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/a", Points::All),
            ("anthropic.claude-3-haiku-20240307-v1:0", Points::None),
            ("us.amazon.nova-2-lite-v1:0", Points::Short),
            ("mistral.mistral-large-2407-v1:0", Points::None),
        ] {
            assert_eq!(Points::of(model), expected, "{model}");
        }
    }
}
