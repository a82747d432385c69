//! Keys of the admin API that administrators make beside the deployment's own.

use super::clock::Timestamp;
use super::id::Fingerprint;
use super::key_rights::has_expired;

/// The stored record of an admin key. The key itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// `key_` and 24 letters and digits.
    pub id: String,
    pub hash: Fingerprint,
    pub name: String,
    /// `sk-weir-admin-...abcd`
    pub redacted_value: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds. From this second on the key is refused.
    pub expires_at: Option<u64>,
    pub scope: AdminScope,
}

impl AdminKey {
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        has_expired(self.expires_at, now)
    }
}

/// What an admin key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminScope {
    /// Everything that changes nothing.
    Read,
    /// Service accounts and API keys of projects, and nothing else.
    Keys,
    All,
}

impl AdminScope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Keys, Self::All];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Keys => "keys",
            Self::All => "all",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    #[must_use]
    pub fn permits(self, admin_use: AdminUse) -> bool {
        match self {
            Self::Read => admin_use.reads,
            Self::Keys => admin_use.is_of_keys,
            Self::All => true,
        }
    }
}

/// How an admin key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminUse {
    reads: bool,
    /// The route is about service accounts or API keys of a project.
    is_of_keys: bool,
}

const OF_PROJECT: &str = "/v1/organization/projects/{project_id}/";
const OF_KEYS: [&str; 2] = ["service_accounts", "api_keys"];

impl AdminUse {
    /// The use that a request makes of a route.
    #[must_use]
    pub fn of(reads: bool, route: &str) -> Self {
        let family = route.strip_prefix(OF_PROJECT).and_then(|rest| rest.split('/').next());
        Self { reads, is_of_keys: family.is_some_and(|family| OF_KEYS.contains(&family)) }
    }

    /// The scopes that permit it, between commas.
    #[must_use]
    pub fn scopes(self) -> String {
        let permitting = AdminScope::ALL.into_iter().filter(|scope| scope.permits(self));
        permitting.map(AdminScope::name).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_permits_its_routes() {
        for (reads, route, expected) in [
            (true, "/v1/organization/costs", "read, all"),
            (false, "/v1/organization/projects/{project_id}/archive", "all"),
            (true, "/v1/organization/projects/{project_id}/api_keys", "read, keys, all"),
            (false, "/v1/organization/projects/{project_id}/service_accounts/{account_id}", "keys, all"),
            (true, "/v1/organization/admin_api_keys", "read, all"),
            (false, "/v1/organization/admin_api_keys", "all"),
        ] {
            assert_eq!(AdminUse::of(reads, route).scopes(), expected, "{route}");
        }
        for scope in AdminScope::ALL {
            assert_eq!(AdminScope::parse(scope.name()), Some(scope));
        }
    }
}
