//! Other spellings of a route's path: with a slash at its end, with two slashes, without `/v1`.
//!
//! Clients join a base URL and a path, and each has its own idea of which of the two has the slash and the version.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt as _;

use super::base_path::with_path;

/// Routes requests whose path no route has by the path that was probably meant. `router` has its layers: they see the path
/// of the route.
pub(super) fn tolerate(router: Router) -> Router {
    let respelled = router.clone().map_request(|mut request: Request| {
        let uri = request.uri();
        if let Some(uri) = meant(uri.path()).and_then(|path| with_path(uri, &path)) {
            *request.uri_mut() = uri;
        }
        request
    });
    router.fallback_service(respelled.map_err(|never: Infallible| match never {}))
}

/// The path of a route for another spelling of it. `None`: the path has the form of a route, or there is nothing to look for.
///
/// Slashes between other words stay: they stand for an empty id, and without it the path would be that of another thing.
fn meant(path: &str) -> Option<String> {
    let words = path.strip_prefix('/')?.trim_matches('/');
    let (version, rest) = match words.strip_prefix("v1") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => ("/v1", rest.trim_start_matches('/')),
        _ if words == "healthz" => ("", words),
        _ => ("/v1", words),
    };
    let meant = format!("{version}/{rest}");
    (!rest.is_empty() && meant != path).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_other_spellings() {
        for path in [
            "/v1/chat/completions/",
            "//v1/chat/completions",
            "/v1//chat/completions",
            "/chat/completions",
            "//chat/completions//",
        ] {
            assert_eq!(meant(path).as_deref(), Some("/v1/chat/completions"), "{path}");
        }
        assert_eq!(meant("/healthz/").as_deref(), Some("/healthz"));
        assert_eq!(meant("/v11/models").as_deref(), Some("/v1/v11/models"));
        assert_eq!(meant("/models/a%2Fb/").as_deref(), Some("/v1/models/a%2Fb"));
    }

    #[test]
    fn the_path_of_a_route_stays_and_an_empty_word_too() {
        for path in ["/v1/models", "/healthz", "/", "//", "/v1", "/v1/", "*", "", "/v1/conversations//items"] {
            assert_eq!(meant(path), None, "{path}");
        }
    }
}
