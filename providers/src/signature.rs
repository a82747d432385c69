//! The signatures of thinking blocks that weir writes.
//!
//! Clients of Anthropic's API send thinking blocks back as they got them. By the signature weir knows those that it wrote for a
//! provider without signatures.

/// How a signature of any version of weir begins. Those of Anthropic are base64, which has no colon.
pub(crate) const OWN: &str = "weir:";

/// A signature of a thought without anything else to remember. Text behind it is for later versions.
pub(crate) const PLAIN: &str = "weir:1:";
