//! The members of calls whose cost the price per token covers: their text is input, or they change how tokens are chosen.
//! The list has what OpenAI's API has and what clients send back with messages. Everything else is noted.

use crate::dialects::walk::Shape::{
    self, Any, Cache, Content, List, Members, Modalities, OneOf, Retention, Sound, Speech, Tier, Typed,
};

/// A call of `/chat/completions`.
pub(super) const CHAT: Shape = Members(&[
    ("model", Any),
    ("messages", List(&MESSAGE)),
    ("stream", Any),
    ("stream_options", Any),
    ("max_tokens", Any),
    ("max_completion_tokens", Any),
    ("n", Any),
    ("temperature", Any),
    ("top_p", Any),
    ("stop", Any),
    ("seed", Any),
    ("frequency_penalty", Any),
    ("presence_penalty", Any),
    ("logit_bias", Any),
    ("logprobs", Any),
    ("top_logprobs", Any),
    ("tools", List(&TOOL)),
    ("tool_choice", Any),
    ("parallel_tool_calls", Any),
    ("functions", List(&FUNCTION)),
    ("function_call", Any),
    ("response_format", Any),
    ("reasoning_effort", Any),
    // weir's own, for providers with the Responses API. The summary is output.
    ("reasoning_summary", Any),
    ("verbosity", Any),
    // It may be billed as output, which the bound counts.
    ("prediction", Any),
    ("modalities", Modalities),
    ("audio", Speech(&[("voice", Any), ("format", Any)])),
    ("store", OneOf(&["false"])),
    ("service_tier", Tier),
    ("prompt_cache_key", Any),
    ("prompt_cache_retention", Retention),
    ("prompt_cache_options", Members(&[("mode", Any), ("ttl", Retention)])),
    ("metadata", Any),
    ("user", Any),
    ("safety_identifier", Any),
]);

const MESSAGE: Shape = Members(&[
    ("role", Any),
    ("name", Any),
    ("content", Content(&PART)),
    ("refusal", Any),
    ("tool_calls", List(&TOOL_CALL)),
    ("tool_call_id", Any),
    ("function_call", Any),
    ("annotations", Any),
    ("reasoning", Any),
    ("reasoning_content", Any),
    ("reasoning_details", Any),
    ("thinking_blocks", Any),
    ("prefix", Any),
    // Members of an answer's choice that clients send back.
    ("index", Any),
    ("id", Any),
    ("cache_control", Cache),
]);

const TOOL_CALL: Shape = Members(&[
    ("id", Any),
    ("index", Any),
    ("type", Any),
    ("function", Any),
    ("custom", Any),
    ("extra_content", Any),
    ("cache_control", Cache),
]);

/// Videos have prices of their own.
const PART: Shape = Typed(&[
    (
        "text",
        &[
            ("text", Any),
            ("cache_control", Cache),
            // OpenAI's Agents SDK sends the other members of an answer's message back with each of its parts.
            ("role", Any),
            ("index", Any),
            ("refusal", Any),
            ("annotations", Any),
            ("reasoning", Any),
            ("reasoning_content", Any),
            ("reasoning_details", Any),
        ],
    ),
    ("refusal", &[("refusal", Any)]),
    (
        "image_url",
        &[("image_url", Members(&[("url", Any), ("detail", Any), ("file_id", Any)])), ("cache_control", Cache)],
    ),
    (
        "file",
        &[("file", Members(&[("filename", Any), ("file_data", Any), ("file_id", Any)])), ("cache_control", Cache)],
    ),
    ("input_audio", &[("input_audio", Sound(&[("data", Any), ("format", Any)])), ("cache_control", Cache)]),
]);

/// Other types run at the provider.
const TOOL: Shape = Typed(&[
    ("function", &[("function", FUNCTION), ("cache_control", Cache)]),
    ("custom", &[("custom", Members(&[("name", Any), ("description", Any), ("format", Any)]))]),
]);

const FUNCTION: Shape =
    Members(&[("name", Any), ("description", Any), ("parameters", Any), ("strict", Any), ("cache_control", Cache)]);

/// A call of `/completions`.
pub(super) const COMPLETION: Shape = Members(&[
    ("model", Any),
    ("prompt", Any),
    ("suffix", Any),
    ("stream", Any),
    ("stream_options", Any),
    ("max_tokens", Any),
    ("n", Any),
    ("best_of", Any),
    ("echo", Any),
    ("temperature", Any),
    ("top_p", Any),
    ("stop", Any),
    ("seed", Any),
    ("frequency_penalty", Any),
    ("presence_penalty", Any),
    ("logit_bias", Any),
    ("logprobs", Any),
    ("user", Any),
]);

/// A call of `/embeddings`.
pub(super) const EMBEDDING: Shape = Members(&[
    ("model", Any),
    ("input", Any),
    ("dimensions", Any),
    ("encoding_format", Any),
    ("input_type", Any),
    ("user", Any),
]);

/// A call of `/moderations`.
pub(super) const MODERATION: Shape = Members(&[("model", Any), ("input", Any)]);

/// A call of `/images/generations`. `size` and `quality` decide the price.
pub(super) const IMAGE: Shape = Members(&[
    ("model", Any),
    ("prompt", Any),
    ("n", Any),
    ("size", Any),
    ("quality", Any),
    ("style", Any),
    ("background", Any),
    ("moderation", Any),
    ("output_format", Any),
    ("output_compression", Any),
    ("response_format", Any),
    ("stream", OneOf(&["false"])),
    // Each partial image is billed beside the whole one.
    ("partial_images", OneOf(&["0"])),
    ("user", Any),
]);

/// A call of `/images/edits`: its texts.
pub(super) const IMAGE_EDIT: Shape = Members(&[
    ("model", Any),
    ("prompt", Any),
    ("n", Any),
    ("size", Any),
    ("quality", Any),
    // More tokens for each image, of which the models file has the most.
    ("input_fidelity", Any),
    ("background", Any),
    ("moderation", Any),
    ("output_format", Any),
    ("output_compression", Any),
    ("response_format", Any),
    ("stream", OneOf(&["false"])),
    // Each partial image is billed beside the whole one.
    ("partial_images", OneOf(&["0"])),
    ("user", Any),
]);

/// A call of `/audio/transcriptions` or `/audio/translations`: its texts. The sounds of known speakers are missing here, because
/// nothing says how they are billed.
pub(super) const TRANSCRIPTION: Shape = Members(&[
    ("model", Any),
    ("language", Any),
    ("languages", Any),
    ("keywords", Any),
    ("prompt", Any),
    ("response_format", Any),
    ("temperature", Any),
    ("include", Any),
    ("timestamp_granularities", Any),
    ("chunking_strategy", Any),
    ("known_speaker_names", Any),
    ("stream", Any),
]);

/// A call of `/audio/speech`.
pub(super) const SPEECH: Shape = Members(&[
    ("model", Any),
    ("input", Any),
    ("voice", Any),
    ("instructions", Any),
    ("response_format", Any),
    ("speed", Any),
    ("stream_format", Any),
]);
