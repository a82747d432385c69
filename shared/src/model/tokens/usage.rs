//! The tokens of one call by the kinds that providers bill apart, and its pieces.

use std::ops::AddAssign;

use super::label::Label;

/// Tokens of one call, as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, including those that the provider's prompt cache served or stored.
    pub input: u64,
    /// Input tokens that the provider's prompt cache served.
    pub cached_input: u64,
    /// Those of `cached_input` that are sound.
    pub cached_audio: u64,
    /// Input tokens that the provider's prompt cache stored.
    pub cache_write: u64,
    /// Those of `cache_write` that are stored for half an hour.
    pub cache_write_30m: u64,
    /// Those of `cache_write` that are stored for an hour.
    pub cache_write_1h: u64,
    /// Those of `cache_write` that are stored for twelve hours or longer.
    pub cache_write_12h: u64,
    /// Input tokens that are sound, including those that the cache served.
    pub audio_input: u64,
    /// Input tokens that are images.
    pub image_input: u64,
    /// All output tokens, including reasoning.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// Output tokens that are sound.
    pub audio_output: u64,
    /// Output tokens that are images.
    pub image_output: u64,
    /// The images that the model made, the characters that it spoke, or the seconds that it listened to. Some providers bill these
    /// instead of tokens.
    pub pieces: u64,
    pub served: Served,
}

/// How the provider served a call, as far as its price depends on it. A sum of calls has none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// The tokens of the longest prompt, if the provider ran more than one for the call. 0: the input is one prompt.
    pub longest_prompt: u64,
    /// Where: Anthropic's `inference_geo`.
    pub geo: Label,
    /// How fast: Anthropic's `speed`.
    pub speed: Label,
    /// In which service tier: OpenAI's `service_tier`.
    pub tier: Label,
}

impl Served {
    /// Whether the provider says that it served the call in its default tier.
    pub(super) fn is_in_default_tier(&self) -> bool {
        matches!(self.tier.as_str(), "default" | "standard")
    }
}

impl Usage {
    /// The tokens of the prompt whose length decides on the rates.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        match self.served.longest_prompt {
            0 => self.input,
            longest => longest.min(self.input),
        }
    }

    /// The tokens by kind. Each token counts once, in the order of [`Rates::list`](super::Rates::list).
    ///
    /// A provider that counts a token as two kinds is charged for the one that comes first here: served by the cache, stored, sound,
    /// image.
    pub(super) fn parts(&self) -> [u64; 13] {
        let fresh = self.input.saturating_sub(self.cached_input).saturating_sub(self.cache_write);
        let cached_audio = self.cached_audio.min(self.cached_input);
        let audio = self.audio_input.saturating_sub(cached_audio).min(fresh);
        let image = self.image_input.min(fresh - audio);
        let write_12h = self.cache_write_12h.min(self.cache_write);
        let write_1h = self.cache_write_1h.min(self.cache_write - write_12h);
        let write_30m = self.cache_write_30m.min(self.cache_write - write_12h - write_1h);
        let spoken = self.output.saturating_sub(self.reasoning);
        let audio_output = self.audio_output.min(spoken);
        let image_output = self.image_output.min(spoken - audio_output);
        [
            fresh - audio - image,
            self.cached_input - cached_audio,
            cached_audio,
            self.cache_write - write_12h - write_1h - write_30m,
            write_30m,
            write_1h,
            write_12h,
            audio,
            image,
            spoken - audio_output - image_output,
            self.reasoning,
            audio_output,
            image_output,
        ]
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let counts = [
            (&mut self.input, other.input),
            (&mut self.cached_input, other.cached_input),
            (&mut self.cached_audio, other.cached_audio),
            (&mut self.cache_write, other.cache_write),
            (&mut self.cache_write_30m, other.cache_write_30m),
            (&mut self.cache_write_1h, other.cache_write_1h),
            (&mut self.cache_write_12h, other.cache_write_12h),
            (&mut self.audio_input, other.audio_input),
            (&mut self.image_input, other.image_input),
            (&mut self.output, other.output),
            (&mut self.reasoning, other.reasoning),
            (&mut self.audio_output, other.audio_output),
            (&mut self.image_output, other.image_output),
            (&mut self.pieces, other.pieces),
        ];
        for (sum, count) in counts {
            *sum = sum.saturating_add(count);
        }
        self.served = Served::default();
    }
}
