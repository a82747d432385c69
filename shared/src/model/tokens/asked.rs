//! The part of a request that decides which prices its call can have.

use super::label::Label;

/// What a request asks for beside text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// The longest time for which input is to be stored.
    pub stored: Stored,
    /// Whether it has sound.
    pub audio_input: bool,
    /// Whether it has images, or files that may have some.
    pub image_input: bool,
    /// Whether it asks for sound.
    pub audio_output: bool,
    /// Whether it asks for images.
    pub image_output: bool,
    /// Where it is to be served. `None` leaves it to the provider's account.
    pub geo: Option<Label>,
    /// How fast. `None` is the provider's standard.
    pub speed: Option<Label>,
}

/// How long a provider's prompt cache is asked to keep input. Providers store for minutes unless a call asks for more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stored {
    #[default]
    Minutes,
    Hour,
    HalfDay,
}
