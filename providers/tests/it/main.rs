//! Every provider against a local server that plays recorded answers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, too")]

mod anthropic;
mod aws;
mod bedrock;
mod causes;
mod openai;
mod play;
mod registry;
mod simulator;
