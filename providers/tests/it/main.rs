//! Every provider against a local server that plays recorded answers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, too")]

mod anthropic;
mod anthropic_requests;
mod aws;
mod batches;
mod bedrock;
mod bedrock_messages;
mod bedrock_requests;
mod causes;
mod gemini;
mod gemini_embeddings;
mod gemini_requests;
mod invoices;
mod messages_answers;
mod messages_native;
mod messages_options;
mod messages_requests;
mod messages_sent;
mod openai;
mod openai_forms;
mod openai_media;
mod play;
mod reasoning;
mod registry;
mod responses;
mod sigv4;
mod simulator;
