//! Extractors that check keys. A handler that takes a [`Caller`] or an [`Admin`] cannot run without the right key.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::reject::Rejection;
use crate::app::Auth;
use crate::model::project::Caller;

/// The token of `Authorization: Bearer <token>`; `None` if there is none or it is empty.
///
/// The scheme is read in any case, and spaces around scheme and token are skipped. The parser of the crate `headers`
/// keeps a space after the token, so it would refuse keys that work today.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl<S> FromRequestParts<S> for Caller
where
    Arc<Auth>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        Ok(Arc::<Auth>::from_ref(state).identify(bearer(&parts.headers)).await?)
    }
}

/// Proof that the request carried the admin key.
#[derive(Debug, Clone, Copy)]
pub struct Admin(());

impl<S> FromRequestParts<S> for Admin
where
    Arc<Auth>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        Arc::<Auth>::from_ref(state).identify_admin(bearer(&parts.headers)).await?;
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
