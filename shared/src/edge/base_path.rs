//! The path under which a custom domain serves the API.

use std::convert::Infallible;
use std::str::FromStr;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use tower::ServiceExt as _;

/// The base path of a custom domain's mapping, such as `/ai`. API Gateway leaves it in the path of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// A text that cannot be a base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no base path: {reason}")]
pub struct BasePathError {
    path: String,
    reason: &'static str,
}

impl FromStr for BasePath {
    type Err = BasePathError;

    /// Reads `ai`, `/ai`, `/ai/` or `team/ai`. The empty text and `/` are no base path.
    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let wrong = |reason| BasePathError { path: text.to_owned(), reason };
        let path = text.trim().trim_matches('/');
        if path.is_empty() {
            return Ok(Self::default());
        }
        if path.split('/').any(str::is_empty) || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%') {
            return Err(wrong("expected words between slashes, such as `team/ai`"));
        }
        if path.contains(['?', '#']) {
            return Err(wrong("leave out `?` and `#`"));
        }
        if matches!(path.split('/').next(), Some("v1" | "healthz")) {
            return Err(wrong("the API's own paths begin with `/v1` and `/healthz`"));
        }
        Ok(Self(format!("/{path}")))
    }
}

impl BasePath {
    /// Routes requests by the path behind the base path. Requests without the base path, which come through the API's
    /// own host name, pass unchanged.
    pub(super) fn strip(&self, router: Router) -> Router {
        if self.0.is_empty() {
            return router;
        }
        let prefix = self.0.clone();
        let stripped = router.map_request(move |mut request: Request| {
            if let Some(uri) = without(&prefix, request.uri()) {
                *request.uri_mut() = uri;
            }
            request
        });
        // A layer of a router runs after the route was chosen, so the router itself is the service that is wrapped.
        Router::new().fallback_service(stripped.map_err(|never: Infallible| match never {}))
    }
}

/// The URI without the base path; `None` if it does not begin with it.
fn without(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    with_path(uri, if rest.is_empty() { "/" } else { rest })
}

/// The URI with another path and the same query. `None` if the path is none.
pub(super) fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_may_have_slashes_around_it() {
        for text in ["ai", "/ai", "/ai/", " ai/ "] {
            assert_eq!(text.parse(), Ok(BasePath("/ai".to_owned())), "{text}");
        }
        assert_eq!(("".parse(), "/".parse()), (Ok(BasePath::default()), Ok(BasePath::default())));
        assert_eq!("team/ai".parse(), Ok(BasePath("/team/ai".to_owned())));
    }

    #[test]
    fn a_path_that_no_mapping_has_is_refused_by_name() {
        for (text, reason) in [
            ("a//b", "words between slashes"),
            ("a b", "words between slashes"),
            ("%61i", "words between slashes"),
            ("ä", "words between slashes"),
            ("ai?x=1", "leave out"),
            ("ai#x", "leave out"),
            ("v1", "own paths"),
            ("/v1/ai", "own paths"),
            ("healthz", "own paths"),
        ] {
            let error = text.parse::<BasePath>().unwrap_err().to_string();
            assert!(error.contains("` is no base path: ") && error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_base_path_is_a_whole_segment() {
        let path = |uri: &str| without("/ai", &uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(path("/ai/v1/models?a=%2F").as_deref(), Some("/v1/models?a=%2F"));
        assert_eq!(path("https://a.example/ai/v1/x").as_deref(), Some("https://a.example/v1/x"));
        assert_eq!((path("/ai").as_deref(), path("/ai?x").as_deref()), (Some("/"), Some("/?x")));
        assert_eq!((path("/aim/v1/x"), path("/v1/ai/x")), (None, None));
        assert_eq!(path("/ai/ai/v1/x").as_deref(), Some("/ai/v1/x"));
    }
}
