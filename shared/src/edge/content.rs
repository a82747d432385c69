//! Contents of files as answers: whole, a part, or nothing if the client's copy is the same.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use http_range_header::StartPosition;

use super::copies::{Copies, HeldTags};
use super::cors::no_body;
use crate::app::ErrorChain;
use crate::data::StoreError;
use crate::model::file::{ByteRange, File};

/// What a request wants of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    Part(ByteRange),
    /// The content has no byte of the range.
    OutOfRange,
    /// The client's copy is the same.
    Nothing,
}

/// The headers that say what a request wants: `if-none-match`, `range` and `if-range`.
#[derive(Debug, Clone, Default)]
pub struct ContentHeaders {
    held: HeldTags,
    range: Option<String>,
    if_range: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ContentHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl ContentHeaders {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { held: HeldTags::of(headers), range: text(header::RANGE), if_range: text(header::IF_RANGE) }
    }

    /// What the request wants of a file. As HTTP has it, a header that cannot be read is left out, and so is a range of another
    /// version of the content.
    #[must_use]
    pub fn wanted(&self, file: &File) -> Wanted {
        let tag = tag(file);
        if self.held.has(&tag) {
            return Wanted::Nothing;
        }
        let is_same = self.if_range.as_ref().is_none_or(|held| *held == tag);
        let parse = |text: &String| http_range_header::parse_range_header(text).ok();
        // An answer with several parts would need a format of its own, and servers may leave that out.
        let range = self.range.as_ref().filter(|_| is_same).and_then(parse).filter(|parsed| parsed.ranges.len() == 1);
        let Some(range) = range else { return Wanted::Whole };
        // The crate refuses to count back beyond the begin; HTTP takes that for the whole content.
        if let Some(StartPosition::FromLast(count)) = range.ranges.first().map(|range| range.start)
            && count > file.bytes
            && file.bytes > 0
        {
            return Wanted::Part(ByteRange { first: 0, last: file.bytes - 1 });
        }
        match range.validate(file.bytes).ok().and_then(|ranges| ranges.into_iter().next()) {
            Some(range) if file.bytes > 0 => Wanted::Part(ByteRange { first: *range.start(), last: *range.end() }),
            _ => Wanted::OutOfRange,
        }
    }
}

/// A strong tag: equal contents have the same one.
fn tag(file: &File) -> String {
    format!("\"{}\"", file.sha256.get(..32).unwrap_or_default())
}

/// The answer without a content: the client's copy is the same, or there is no such part.
#[must_use]
pub fn without_content(file: &File, wanted: Wanted) -> Response {
    let status = match wanted {
        Wanted::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
        _ => StatusCode::NOT_MODIFIED,
    };
    let mut response = (status, no_body()).into_response();
    set_headers(response.headers_mut(), file);
    if wanted == Wanted::OutOfRange {
        set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", file.bytes));
    }
    response
}

/// The answer with the content of a file, or with a part of it.
///
/// If the store breaks off, the answer ends early: its `content-length` shows that. It does not fail, because Lambda's runtime
/// would write the error's text into it.
#[must_use]
pub fn with_content(
    file: &File,
    part: Option<ByteRange>,
    content: BoxStream<'static, Result<Bytes, StoreError>>,
) -> Response {
    let pieces = content.scan((), |(), piece| {
        if let Err(error) = &piece {
            tracing::error!(error = %ErrorChain(error), "content of a file breaks off");
        }
        std::future::ready(piece.ok().map(Ok::<_, Infallible>))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    if part.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    set_headers(headers, file);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.map_or(file.bytes, ByteRange::length)));
    if let Some(ByteRange { first, last }) = part {
        set(headers, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", file.bytes));
    }
    // A browser must neither show what a client uploaded, nor guess that it is a page with scripts.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name: String = form_urlencoded::byte_serialize(file.filename.as_bytes()).collect();
    let name = name.replace('+', "%20").replace('*', "%2A");
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    set(headers, header::CONTENT_DISPOSITION, &disposition);
    response
}

fn set_headers(headers: &mut HeaderMap, file: &File) {
    set(headers, header::ETAG, &tag(file));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, Copies::Checked.header());
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::{FileKey, Purpose};

    fn file(bytes: u64) -> File {
        File {
            key: FileKey { project_id: "p".into(), file_id: "file-1".into() },
            filename: "a b.txt".into(),
            purpose: Purpose::UserData,
            media_type: "text/plain".into(),
            bytes,
            sha256: "0123456789abcdef0123456789abcdef".repeat(2),
            created_at: 0,
            expires_at: None,
        }
    }

    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], bytes: u64, wanted: Wanted) {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        assert_eq!(ContentHeaders::of(&pairs.collect()).wanted(&file(bytes)), wanted, "{headers:?}");
    }

    #[test]
    fn a_request_wants_the_part_that_its_headers_name() {
        let part = |first, last| Wanted::Part(ByteRange { first, last });
        check(&[], 10, Wanted::Whole);
        for (range, wanted) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-5", part(2, 5)),
            ("bytes=2-", part(2, 9)),
            ("bytes=2-99", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=10-", Wanted::OutOfRange),
            ("bytes=5-2", Wanted::OutOfRange),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=x", Wanted::Whole),
        ] {
            check(&[(header::RANGE, range)], 10, wanted);
        }
        check(&[(header::RANGE, "bytes=0-")], 0, Wanted::OutOfRange);
    }

    #[test]
    fn a_copy_and_a_version_are_compared_with_the_tag() {
        let (tag, range) = ("\"0123456789abcdef0123456789abcdef\"", (header::RANGE, "bytes=1-1"));
        check(&[(header::IF_NONE_MATCH, tag)], 10, Wanted::Nothing);
        check(&[(header::IF_NONE_MATCH, "\"other\"")], 10, Wanted::Whole);
        let part = Wanted::Part(ByteRange { first: 1, last: 1 });
        check(&[range.clone(), (header::IF_RANGE, tag)], 10, part);
        check(&[range, (header::IF_RANGE, "\"other\"")], 10, Wanted::Whole);
    }
}
