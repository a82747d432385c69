//! Recognizes the refusal of a prompt that is too long for the model.

use shared::model::provider::{PROMPT_TOO_LONG, ProviderRefusal};

/// Words that a provider has for it, in lower case, in messages and types. Messages about a limit of output that is too
/// large for the model alone, or about a rate, have none of them.
const WORDS: [&str; 24] = [
    // Anthropic, Fireworks; Bedrock and Vertex with Claude.
    "prompt is too long",
    "exceed context limit",
    // Bedrock.
    "input is too long for requested model",
    "too many input tokens",
    "input tokens exceeded",
    "exceed model maximum",
    // OpenAI, vLLM, OpenRouter, DeepSeek, Together, Mistral.
    "maximum context length",
    "exceeds the context window",
    "context length exceeded",
    "model's context length",
    "maximum model length",
    // SGLang.
    "longer than the model's context",
    // llama.cpp.
    "available context size",
    "exceed_context_size_error",
    // Gemini.
    "exceeds the maximum number of tokens allowed",
    // xAI.
    "maximum prompt length is",
    // Groq.
    "reduce the length of the messages",
    // LM Studio, Ollama.
    "greater than the context length",
    "exceeds the context length",
    // TGI, and Together with it.
    "`inputs` tokens + `max_new_tokens` must be",
    // MiniMax, Moonshot, Poolside, Copilot.
    "context window exceeds limit",
    "exceeded model token limit",
    "exceeds the maximum allowed input length",
    "prompt token count of",
];

/// The refusal with OpenAI's code, if it is of a prompt that is too long. Its message stays.
pub(crate) fn with_code(mut refusal: ProviderRefusal) -> ProviderRefusal {
    let texts = [Some(&refusal.message), refusal.kind.as_ref()].map(|text| text.map(|text| text.to_lowercase()));
    if texts.iter().flatten().any(|text| WORDS.iter().any(|words| text.contains(words))) {
        refusal.code = Some(PROMPT_TOO_LONG.to_owned());
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, kind: &str, expected: Option<&str>) {
        let refusal =
            ProviderRefusal { message: message.to_owned(), kind: Some(kind.to_owned()), ..ProviderRefusal::default() };
        assert_eq!(with_code(refusal).code.as_deref(), expected, "{message}");
    }

    #[test]
    fn a_prompt_that_is_too_long_has_openais_code() {
        for message in [
            "prompt is too long: 214315 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "Input is too long for requested model.",
            "The model returned the following errors: prompt is too long: 3 tokens > 2 maximum",
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
            "This endpoint's maximum context length is 1048576 tokens. However, you requested about 1293741 tokens",
            "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "Please reduce the length of the messages or completion.",
        ] {
            check(message, "invalid_request_error", Some(PROMPT_TOO_LONG));
        }
        check("the request does not fit", "exceed_context_size_error", Some(PROMPT_TOO_LONG));
    }

    #[test]
    fn other_refusals_keep_their_code() {
        for message in [
            "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5",
            "max_tokens is too large: 99999. This model supports at most 16384 completion tokens",
            "Too many tokens, please wait before trying again.",
            "messages: text content blocks must contain non-whitespace text",
        ] {
            check(message, "invalid_request_error", None);
        }
    }
}
