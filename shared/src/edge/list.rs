//! Lists: the cursor of a request, and a page as JSON.

use serde::Serialize;

use super::Params;
use crate::app::{Cursor, Page};
use crate::model::invalid::Invalid;

/// A page in OpenAI's format.
#[derive(Serialize)]
pub struct List<T> {
    object: &'static str,
    data: Vec<T>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

impl<T> List<T> {
    /// Makes a list of a page. `id` returns the id of an item, `write` its JSON object.
    pub fn of<I>(page: Page<I>, id: fn(&I) -> &str, write: impl Fn(I) -> T) -> Self {
        let id = |item: Option<&I>| item.map(|item| id(item).to_owned());
        Self {
            object: "list",
            first_id: id(page.items.first()),
            last_id: id(page.items.last()),
            has_more: page.has_more,
            data: page.items.into_iter().map(write).collect(),
        }
    }
}

/// The length of a page if the request names none.
const DEFAULT_LIMIT: usize = 20;

/// Reads the parameters `after` and `limit`.
///
/// # Errors
/// `Invalid` if `limit` is not 1 to 100.
pub fn cursor(params: &Params) -> Result<Cursor, Invalid> {
    let limit = match params.number("limit")? {
        None => DEFAULT_LIMIT,
        Some(limit @ 1..=100) => usize::try_from(limit).unwrap_or(DEFAULT_LIMIT),
        Some(other) => return Err(Invalid::field("limit", format!("`limit` is {other}, expected 1 to 100."))),
    };
    Ok(Cursor { after: params.text("after").map(str::to_owned), limit })
}
