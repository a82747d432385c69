//! Every provider against a local server that plays recorded answers.

mod anthropic;
mod openai;
mod play;
mod simulator;
