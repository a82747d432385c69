//! Who may pass: extractors, so that no handler can forget to ask.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::Deps;
use super::reject::Rejection;
use crate::model::project::Caller;

/// The token of `Authorization: Bearer <token>`, in any case and spacing that HTTP allows.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl FromRequestParts<Deps> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, gateway: &Deps) -> Result<Self, Rejection> {
        Ok(gateway.identify(bearer(&parts.headers)).await?)
    }
}

/// Proof that the request came with the admin key.
#[derive(Debug, Clone, Copy)]
pub struct Admin(());

impl FromRequestParts<Deps> for Admin {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, gateway: &Deps) -> Result<Self, Rejection> {
        gateway.identify_admin(bearer(&parts.headers))?;
        Ok(Self(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bearer_tokens_only() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("bearer  sk-1 "), Some("sk-1".to_owned()));
        for none in ["sk-1", "Basic sk-1", "Bearer ", "Bearer"] {
            assert_eq!(token(none), None, "{none}");
        }
    }
}
