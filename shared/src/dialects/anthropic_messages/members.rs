//! The members of a call whose cost the price per token covers, as `openai_chat::members` has them for OpenAI's API. Tools that
//! Anthropic runs cost more.

use crate::dialects::walk::Shape::{self, Any, Cache, Content, Geo, List, Members, OneOf, Speed, Typed};

/// A call of `/messages`.
pub(in crate::dialects) const MEMBERS: Shape = Members(&[
    ("model", Any),
    ("max_tokens", Any),
    ("messages", List(&MESSAGE)),
    ("system", Content(&BLOCK)),
    ("tools", List(&TOOL)),
    ("tool_choice", Any),
    ("thinking", Any),
    ("output_config", Any),
    ("output_format", Any),
    ("stop_sequences", Any),
    ("stream", Any),
    ("temperature", Any),
    ("top_p", Any),
    ("top_k", Any),
    ("metadata", Any),
    ("context_management", Any),
    ("diagnostics", Any),
    ("cache_control", Cache),
    // Capacity that was bought before is used, or not.
    ("service_tier", OneOf(&[r#""auto""#, r#""standard_only""#])),
    ("speed", Speed("standard")),
    ("inference_geo", Geo("global")),
]);

const MESSAGE: Shape =
    Members(&[("role", Any), ("content", Content(&BLOCK)), ("output_config", Any), ("clear_at", Any)]);

/// Blocks of tools that Anthropic ran earlier are input.
const BLOCK: Shape = Typed(&[
    ("text", &[("text", Any), ("citations", Any), ("cache_control", Cache)]),
    ("image", &[("source", Any), ("cache_control", Cache)]),
    ("document", &[("source", Any), ("title", Any), ("context", Any), ("citations", Any), ("cache_control", Cache)]),
    (
        "search_result",
        &[("source", Any), ("title", Any), ("content", Any), ("citations", Any), ("cache_control", Cache)],
    ),
    ("thinking", &[("thinking", Any), ("signature", Any)]),
    ("redacted_thinking", &[("data", Any)]),
    ("tool_use", &[("id", Any), ("name", Any), ("input", Any), ("caller", Any), ("cache_control", Cache)]),
    (
        "tool_result",
        &[("tool_use_id", Any), ("content", Content(&RESULT)), ("is_error", Any), ("cache_control", Cache)],
    ),
    ("tool_reference", &[("tool_name", Any), ("cache_control", Cache)]),
    ("tool_addition", &[("tool", Any), ("tools", Any), ("cache_control", Cache)]),
    ("tool_removal", &[("tool_name", Any), ("tool_names", Any), ("cache_control", Cache)]),
    ("compaction", &[("content", Any), ("cache_control", Cache)]),
]);

const RESULT: Shape = Typed(&[
    ("text", &[("text", Any), ("citations", Any), ("cache_control", Cache)]),
    ("image", &[("source", Any), ("cache_control", Cache)]),
    ("document", &[("source", Any), ("title", Any), ("context", Any), ("citations", Any), ("cache_control", Cache)]),
    (
        "search_result",
        &[("source", Any), ("title", Any), ("content", Any), ("citations", Any), ("cache_control", Cache)],
    ),
    ("tool_reference", &[("tool_name", Any), ("cache_control", Cache)]),
]);

/// Tools with a dated type that the client runs, such as `bash_20250124`, cost their tokens only, too.
const TOOL: Shape = Shape::Tool(&[
    ("name", Any),
    ("description", Any),
    ("input_schema", Any),
    ("strict", Any),
    ("defer_loading", Any),
    ("eager_input_streaming", Any),
    ("input_examples", Any),
    ("allowed_callers", Any),
    ("max_characters", Any),
    ("cache_control", Cache),
]);
