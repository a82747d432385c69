//! The `Cache-Control` header of a request.

use axum::http::{HeaderMap, header};

use crate::app::CacheControl;

/// Reads the first `Cache-Control` header and ignores each directive that weir does not know.
///
/// The parser of the crate `headers` would change the outcome for clients: it knows directives in lower case only, and
/// it drops the whole header if one directive is malformed, although a `no-store` in it must still hold.
pub(super) fn cache_control(headers: &HeaderMap) -> CacheControl {
    headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).map(parse).unwrap_or_default()
}

fn parse(header: &str) -> CacheControl {
    let mut control = CacheControl::default();
    for directive in header.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            None if directive == "no-cache" => control.no_cache = true,
            None if directive == "no-store" => control.no_store = true,
            Some(("max-age", seconds)) => control.max_age = seconds.trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    control
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: CacheControl) {
        let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, value.parse().unwrap())]);
        assert_eq!(cache_control(&headers), expected, "{value}");
    }

    #[test]
    fn reads_the_directives_of_requests_in_any_case() {
        check("No-Cache , foo=1, max-age=\"5\"", CacheControl { no_cache: true, no_store: false, max_age: Some(5) });
        check("no-store, max-age=60", CacheControl { no_cache: false, no_store: true, max_age: Some(60) });
    }

    #[test]
    fn a_malformed_directive_leaves_the_others_in_force() {
        check("no-store, max-age=soon", CacheControl { no_cache: false, no_store: true, max_age: None });
    }

    #[test]
    fn an_empty_or_absent_header_asks_for_nothing() {
        check("", CacheControl::default());
        assert_eq!(cache_control(&HeaderMap::new()), CacheControl::default());
    }
}
