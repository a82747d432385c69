//! The rates of the kinds of tokens that providers bill apart.

use serde::{Deserialize, Serialize};

use super::asked::{Asked, Stored};

/// Micro-dollars per million tokens. `None` costs as much as text does: providers bill these kinds only where a request asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub input: u64,
    pub cached_input: u64,
    /// For input that is stored for five minutes, or for a time that the provider does not name.
    pub cache_write: u64,
    pub cache_write_30m: u64,
    pub cache_write_1h: u64,
    pub cache_write_12h: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<u64>,
    /// For sound that the cache served. `None` costs as much as other sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input: Option<u64>,
    pub output: u64,
    pub reasoning: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output: Option<u64>,
}

impl Rates {
    /// The rates of a provider that bills nothing apart.
    #[must_use]
    pub fn flat(input: u64, output: u64) -> Self {
        Self {
            input,
            cached_input: input,
            cache_write: input,
            cache_write_30m: input,
            cache_write_1h: input,
            cache_write_12h: input,
            audio_input: None,
            cached_audio: None,
            image_input: None,
            output,
            reasoning: output,
            audio_output: None,
            image_output: None,
        }
    }

    /// Each rate changed.
    pub(super) fn map(&self, change: impl Fn(u64) -> u64) -> Self {
        Self {
            input: change(self.input),
            cached_input: change(self.cached_input),
            cache_write: change(self.cache_write),
            cache_write_30m: change(self.cache_write_30m),
            cache_write_1h: change(self.cache_write_1h),
            cache_write_12h: change(self.cache_write_12h),
            audio_input: self.audio_input.map(&change),
            cached_audio: self.cached_audio.map(&change),
            image_input: self.image_input.map(&change),
            output: change(self.output),
            reasoning: change(self.reasoning),
            audio_output: self.audio_output.map(&change),
            image_output: self.image_output.map(&change),
        }
    }

    /// The rates by kind: first those of input.
    pub(super) fn list(&self) -> [u64; 13] {
        [
            self.input,
            self.cached_input,
            self.cached_audio.or(self.audio_input).unwrap_or(self.cached_input),
            self.cache_write,
            self.cache_write_30m,
            self.cache_write_1h,
            self.cache_write_12h,
            self.audio_input.unwrap_or(self.input),
            self.image_input.unwrap_or(self.input),
            self.output,
            self.reasoning,
            self.audio_output.unwrap_or(self.output),
            self.image_output.unwrap_or(self.output),
        ]
    }

    /// How many of the kinds in the list are input.
    pub(super) const INPUTS: usize = 9;

    /// Those of a call that asks for this.
    pub(super) fn asked(&self, asked: &Asked) -> Self {
        let (cache_write_1h, cache_write_12h) = match asked.stored {
            Stored::Minutes => (self.cache_write_30m, self.cache_write_30m),
            Stored::Hour => (self.cache_write_1h, self.cache_write_1h),
            Stored::HalfDay => (self.cache_write_1h, self.cache_write_12h),
        };
        let only_if = |is_asked: bool, rate: Option<u64>| rate.filter(|_| is_asked);
        Self {
            cache_write_1h,
            cache_write_12h,
            audio_input: only_if(asked.audio_input, self.audio_input),
            cached_audio: only_if(asked.audio_input, self.cached_audio),
            image_input: only_if(asked.image_input, self.image_input),
            audio_output: only_if(asked.audio_output, self.audio_output),
            image_output: only_if(asked.image_output, self.image_output),
            ..*self
        }
    }
}

/// The rates of a call whose prompt is longer than so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Longer {
    pub above: u64,
    #[serde(flatten)]
    pub rates: Rates,
}
