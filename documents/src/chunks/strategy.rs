//! How large chunks are.

/// The sizes of chunks, which were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkingStrategy {
    max_tokens: usize,
    overlap_tokens: usize,
}

/// Why there are no such chunks, in `OpenAI`'s bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    #[error("a chunk has {0} tokens, expected 100 to 4096")]
    MaxTokens(usize),
    #[error("the overlap is {overlap} tokens, expected at most half of the {max} tokens of a chunk")]
    Overlap { overlap: usize, max: usize },
}

impl ChunkingStrategy {
    /// Chunks of at most so many tokens, each of which repeats at most so many of the one before.
    ///
    /// # Errors
    /// `MaxTokens` outside of 100 to 4,096, `Overlap` above half of that.
    pub fn new(max_tokens: usize, overlap_tokens: usize) -> Result<Self, StrategyError> {
        if !(100..=4_096).contains(&max_tokens) {
            return Err(StrategyError::MaxTokens(max_tokens));
        }
        if overlap_tokens > max_tokens / 2 {
            return Err(StrategyError::Overlap { overlap: overlap_tokens, max: max_tokens });
        }
        Ok(Self { max_tokens, overlap_tokens })
    }

    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    #[must_use]
    pub fn overlap_tokens(&self) -> usize {
        self.overlap_tokens
    }
}

impl Default for ChunkingStrategy {
    /// `OpenAI`'s strategy `auto`: 800 tokens, of which 400 overlap.
    fn default() -> Self {
        Self { max_tokens: 800, overlap_tokens: 400 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_has_openais_bounds() {
        assert!(ChunkingStrategy::new(100, 50).is_ok());
        assert!(ChunkingStrategy::new(4_096, 2_048).is_ok());
        assert_eq!(ChunkingStrategy::new(99, 0), Err(StrategyError::MaxTokens(99)));
        assert_eq!(ChunkingStrategy::new(4_097, 0), Err(StrategyError::MaxTokens(4_097)));
        assert_eq!(ChunkingStrategy::new(101, 51), Err(StrategyError::Overlap { overlap: 51, max: 101 }));
        assert_eq!(ChunkingStrategy::new(800, 400), Ok(ChunkingStrategy::default()));
    }
}
