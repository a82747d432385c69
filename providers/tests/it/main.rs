//! Every provider against a local server that plays recorded answers.

mod anthropic;
mod aws;
mod bedrock;
mod openai;
mod play;
mod simulator;
