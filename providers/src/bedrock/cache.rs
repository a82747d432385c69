//! Marks up to which Bedrock keeps the input: a `cachePoint` behind a block.

use aws_sdk_bedrockruntime::types::{CachePointBlock, CachePointType, CacheTtl};
use shared::model::provider::Failure;

use super::built;
use crate::conversation::CacheMark;

/// The marks that a model takes. Bedrock refuses a call of another model with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Points {
    /// Claude, and a model whose name is not known: an ARN.
    All,
    /// Nova: in messages and system texts, for five minutes.
    Short,
    None,
}

impl Points {
    pub(super) fn of(model: &str) -> Self {
        if model.contains("anthropic.") || model.starts_with("arn:") {
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
