//! Extractors that check keys. A handler that takes a [`Caller`] or an [`Admin`] cannot run without the right key.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::log::RequestId;
use super::reject::Rejection;
use super::sender::{self, source_address};
use crate::app::{Auth, Error, KeyUse};
use crate::model::admin_key::AdminUse;
use crate::model::audit::Actor;
use crate::model::project::Caller;
use crate::model::scope::Scope;

/// The token of `Authorization: Bearer <token>`; `None` if there is none, if it is empty, or if there are two such headers: a
/// proxy in front may have checked the other one.
///
/// The scheme is read in any case, and spaces around scheme and token are skipped. The parser of the crate `headers`
/// keeps a space after the token, so it would refuse keys that work today.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The key in Anthropic's header, where no other is sent.
fn api_key(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let mut sent = headers.get_all("x-api-key").iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    only.to_str().ok().map(str::trim).filter(|key| !key.is_empty())
}

/// Whether a request only reads.
fn reads(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
}

/// The route that a request takes, with the names of its parameters.
fn route(parts: &Parts) -> &str {
    parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

impl<S> FromRequestParts<S> for Caller
where
    Arc<Auth>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let route = route(parts);
        let no_scope = || Error::internal("find the scope of the route")(format!("{} {route}", parts.method));
        let scope = Scope::of(reads(parts), route).ok_or_else(no_scope)?;
        let key_use = KeyUse { scope, address: source_address(&parts.extensions) };
        let token = bearer(&parts.headers).or_else(|| api_key(&parts.headers));
        let caller = Arc::<Auth>::from_ref(state).identify(token, key_use).await?;
        sender::tell(&parts.extensions, Some(&caller.project.id), &caller.api_key_id);
        Ok(caller)
    }
}

/// Proof that the request carried an admin key that may be used in this way. It says who makes the change that the request asks for.
#[derive(Debug, Clone)]
pub struct Admin(Actor);

impl Admin {
    /// Who sent the request, for the audit log.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.0
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Arc<Auth>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let admin_use = AdminUse::of(reads(parts), route(parts));
        let (token, address) = (bearer(&parts.headers), source_address(&parts.extensions));
        let key_id = Arc::<Auth>::from_ref(state).identify_admin(token, admin_use, address).await?;
        sender::tell(&parts.extensions, None, &key_id);
        let request_id = parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone()).unwrap_or_default();
        Ok(Self(Actor { key_id, address: address.map(|address| address.to_string()), request_id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_in_anthropics_header() {
        let key = |headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            api_key(&HeaderMap::from_iter(headers)).map(str::to_owned)
        };
        assert_eq!(key(&[("x-api-key", " sk-1 ")]), Some("sk-1".to_owned()));
        for none in [&[("x-api-key", "")][..], &[], &[("x-api-key", "sk-1"), ("authorization", "Basic a")]] {
            assert_eq!(key(none), None, "{none:?}");
        }
    }

    #[test]
    fn reads_one_bearer_token_only() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("bearer  sk-1 "), Some("sk-1".to_owned()));
        let twice = ["Bearer sk-1", "Bearer sk-1"].map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        assert_eq!(bearer(&HeaderMap::from_iter(twice)), None);
        for none in ["sk-1", "Basic sk-1", "Bearer ", "Bearer"] {
            assert_eq!(token(none), None, "{none}");
        }
    }
}
