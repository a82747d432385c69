//! Checks admin keys: the deployment's own, and those that administrators made.

use std::net::IpAddr;
use std::sync::Arc;

use super::Auth;
use crate::app::error::Error;
use crate::data::{ADMIN_OWNER, StoreError};
use crate::model::admin_key::{AdminKey, AdminUse};
use crate::model::catalog::KeySource;
use crate::model::forbidden::Forbidden;
use crate::model::id::Fingerprint;
use crate::model::key_refusal::KeyRefusal;
use crate::model::key_rights::AddressRange;
use crate::model::key_text::AdminKeySecret;
use crate::model::keys::Keys;
use crate::model::secret::Secret;

/// The deployment's own admin key, and where it is read. It may do everything.
#[derive(Clone)]
pub(in crate::app) struct RootKey {
    pub(in crate::app) keys: Arc<dyn Keys>,
    pub(in crate::app) source: KeySource,
}

/// The id of the deployment's own admin key, in the audit log.
const ROOT_ID: &str = "admin";

impl Auth {
    /// Finds the admin key that a bearer token is, if it may be used in this way. Returns its id.
    ///
    /// # Errors
    /// - `Unauthenticated` if the admin API is not reachable from the address, if it is none, if it has expired, or if this process serves no admin API.
    /// - `Forbidden` if it does not have the scope.
    /// - `NoAdminKey` if it is none that was made, and the deployment's own cannot be read.
    pub async fn identify_admin(
        &self,
        bearer: Option<&str>,
        admin_use: AdminUse,
        address: Option<IpAddr>,
    ) -> Result<String, Error> {
        // First, so that elsewhere nobody learns whether a key is right.
        if self.admin_addresses.as_ref().is_some_and(|ranges| !AddressRange::any_has(ranges, address)) {
            return Err(Error::Unauthenticated(KeyRefusal::AdminAddress { address }));
        }
        let token = bearer.ok_or(Error::Unauthenticated(KeyRefusal::Missing))?;
        let root_key = self.root_key.as_ref().ok_or(Error::Unauthenticated(KeyRefusal::WrongAdmin))?;
        let expected = root_key.keys.key(&root_key.source).await;
        if let Ok(Some(expected)) = &expected
            && are_equal(token, expected)
        {
            return Ok(ROOT_ID.to_owned());
        }
        if let Some(key) = self.made_key(token).await? {
            return self.use_key(key, admin_use);
        }
        let expected = expected.map_err(Error::NoAdminKey)?.ok_or(Error::Unauthenticated(KeyRefusal::WrongAdmin))?;
        // The key may have been changed since it was read.
        let renewed = root_key.keys.renewed(&root_key.source, &expected).await;
        match renewed.is_some_and(|renewed| are_equal(token, &renewed)) {
            true => Ok(ROOT_ID.to_owned()),
            false => Err(Error::Unauthenticated(KeyRefusal::WrongAdmin)),
        }
    }

    /// The key that an administrator made. It is read with each request, so that a deleted one works nowhere.
    async fn made_key(&self, token: &str) -> Result<Option<AdminKey>, StoreError> {
        let Some(secret) = AdminKeySecret::parse(token) else { return Ok(None) };
        match self.checks.fit(secret.secret()).await? {
            true => self.admin_keys.by_hash(&secret.hash()).await,
            false => Ok(None),
        }
    }

    fn use_key(&self, key: AdminKey, admin_use: AdminUse) -> Result<String, Error> {
        if let Some(expired_at) = key.expires_at.filter(|_| key.has_expired(self.clock.now())) {
            return Err(Error::Unauthenticated(KeyRefusal::Expired { expired_at }));
        }
        if !key.scope.permits(admin_use) {
            return Err(Forbidden::AdminScope { needed: admin_use.scopes(), has: key.scope }.into());
        }
        self.last_use.note(ADMIN_OWNER, &key.id);
        Ok(key.id)
    }
}

/// The hashes are compared instead of the keys, so that the duration of the comparison reveals nothing.
fn are_equal(token: &str, expected: &Secret) -> bool {
    let hash = |text: &str| Fingerprint::of([text.as_bytes()]);
    hash(token) == hash(expected.expose())
}
