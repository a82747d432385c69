//! Copies of answers that clients keep: how long they may, and how they ask whether one still holds.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tower_http::set_header::SetResponseHeaderLayer;

use super::cors::no_body;

/// How long a client may use its copy of an answer without asking. No cache that several clients share may keep one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// It asks each time.
    Checked,
    /// For a minute.
    Minute,
}

impl Copies {
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Checked => "private, no-cache",
            Self::Minute => "private, max-age=60",
        })
    }
}

/// The tags of the copies that the client has: `if-none-match`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldTags(Vec<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for HeldTags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl HeldTags {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Whether one of the tags is `tag`, which is strong. Proxies that compress an answer weaken its tag, so a weak one
    /// counts as well.
    pub(super) fn has(&self, tag: &str) -> bool {
        let tags = self.0.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        tags.map(str::trim).any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
    }
}

/// The answer `json`, of which the client may keep a copy, or 304 without a body if its copy is the same.
///
/// Call it only after the key was checked and the answer was made: a 304 says that the answer exists.
#[must_use]
pub fn json_or_unchanged(json: Bytes, held: &HeldTags, copies: Copies) -> Response {
    let tag = tag_of(&json);
    let mut response = if held.has(&tag) {
        (StatusCode::NOT_MODIFIED, no_body()).into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], json).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, copies.header());
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// A strong tag: equal bytes have the same one, in every process.
fn tag_of(bytes: &[u8]) -> String {
    let mut tag = "\"".to_owned();
    for byte in &Sha256::digest(bytes)[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

/// Forbids copies of every answer that does not say otherwise, and names the request headers on which answers depend.
pub(super) fn forbid_copies(router: Router, vary: HeaderValue) -> Router {
    let no_store = HeaderValue::from_static("no-store");
    router
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, no_store))
        .layer(SetResponseHeaderLayer::overriding(header::VARY, vary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_every_form() {
        let tag = tag_of(b"{}");
        assert_eq!((tag.len(), tag_of(b"{}")), (34, tag.clone()));
        assert_ne!(tag, tag_of(b"[]"));
        let has = |values: &[&str]| {
            let pairs = values.iter().map(|value| (header::IF_NONE_MATCH, value.parse().unwrap()));
            HeldTags::of(&pairs.collect()).has(&tag)
        };
        for held in [&tag, &format!("\"a\",{tag}"), &format!("W/\"a\" , W/{tag}"), "*"] {
            assert!(has(&[held]) && has(&["\"a\"", held]), "{held}");
        }
        for other in ["", "\"a\"", tag.trim_matches('"'), &format!("w/{tag}")] {
            assert!(!has(&[other]), "{other}");
        }
        assert!(!has(&[]));
    }
}
