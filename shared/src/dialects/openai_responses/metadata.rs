//! The caller's metadata of a response or a conversation.

use super::fields::{Fields, invalid};
use crate::dialects::body::read_at;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

const MAX_PAIRS: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;

/// Reads the member `metadata` of a body. It is empty if the member is absent or `null`.
///
/// # Errors
/// If there are more than 16 pairs, a key has more than 64 characters, or a value is not a string of at most 512. The
/// error names the path.
pub fn metadata(body: &Object) -> Result<Object, Invalid> {
    let metadata: Object = Fields::new(body, "").optional("metadata")?.unwrap_or_default();
    let count = metadata.members().count();
    if count > MAX_PAIRS {
        return Err(invalid("metadata", format_args!("it has {count} pairs, expected at most {MAX_PAIRS}")));
    }
    for (key, text) in metadata.members() {
        let path = format!("metadata.{key}");
        if key.chars().count() > MAX_KEY {
            return Err(invalid("metadata", format_args!("the key '{key}' has more than {MAX_KEY} characters")));
        }
        let value: String = read_at(text.as_bytes(), &path)?;
        if value.chars().count() > MAX_VALUE {
            return Err(invalid(path, format_args!("it has more than {MAX_VALUE} characters")));
        }
    }
    Ok(metadata)
}
