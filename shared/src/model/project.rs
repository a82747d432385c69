//! Projects (weir's tenants), their limits and policies, and their keys.

use serde::{Deserialize, Serialize};

use super::forbidden::Forbidden;
use super::id::Fingerprint;
use super::invalid::Invalid;
use super::key_rights::KeyRights;
use super::model_names::ModelPermissions;
use super::money::MicroUsd;
use super::retention::{DAY_SECONDS, MAX_RETENTION_DAYS, Retention};
use super::storage::{DEFAULT_STORAGE, StorageLimits};

/// A project: the tenant of requests. Admission, accounting and isolation are per project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// `proj_` and 24 letters and digits.
    pub id: String,
    pub name: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds. The keys of an archived project are refused.
    pub archived_at: Option<u64>,
    /// The deletion of its content, once it was asked for.
    pub purge: Option<Purge>,
    pub limits: Limits,
    /// The number of changes of the project. A meter stores the revision that it was filled for.
    pub revision: u64,
    pub policy: Policy,
}

/// The deletion of a project's content. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Purge {
    pub requested_at: u64,
    /// `None`: it goes on.
    pub completed_at: Option<u64>,
}

impl Project {
    /// Whether all of its content is deleted.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        self.purge.is_some_and(|purge| purge.completed_at.is_some())
    }
}

/// A checked name of a project or a service account: 1 to 200 characters without surrounding space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl TryFrom<String> for Name {
    type Error = Invalid;

    fn try_from(raw: String) -> Result<Self, Invalid> {
        let name = raw.trim();
        match name.chars().count() {
            1..=200 => Ok(Self(name.to_owned())),
            length => Err(Invalid::field("name", format!("The name has {length} characters, expected 1 to 200."))),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The limits of a project or an API key. `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    /// Calls that are open at the same time. A project without this limit has [`DEFAULT_CONCURRENT_REQUESTS`].
    pub concurrent_requests: Option<u64>,
    /// Per calendar month in UTC.
    #[serde(rename = "budget_usd_per_month")]
    pub budget: Option<MicroUsd>,
}

/// The calls of a project that are open at the same time, if its limits name no other number. A Lambda function serves each
/// open call with an instance of its own, and an AWS account has 1,000 of them at first.
pub const DEFAULT_CONCURRENT_REQUESTS: u64 = 250;

/// The settings for a project's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The limit of output tokens for requests without one. It is also sent to the provider.
    pub default_max_output_tokens: Option<u64>,
    /// Whether a retry of an SDK (`x-stainless-retry-count` above 0) is treated as the request that it repeats.
    pub dedupe_retries: bool,
    /// The seconds for which identical requests are answered from the cache. `None` disables the cache.
    pub cache_ttl_seconds: Option<u64>,
    /// The header that names the run of a request without `x-weir-run`: one that an agent sends already.
    pub run_header: Option<String>,
    /// The budget of a run whose first call names none. A call can name a lower one.
    pub run_budget_usd: Option<MicroUsd>,
    /// How long after its first call a run ends.
    pub run_lifetime_seconds: Option<u64>,
    /// The background responses that workers make at the same time. The others wait. `None`: [`DEFAULT_CONCURRENT_JOBS`].
    pub concurrent_jobs: Option<u64>,
    /// The bytes that the project's conversations may have. `None`: [`DEFAULT_STORAGE`].
    pub max_stored_bytes: Option<u64>,
    /// The number of the project's conversations and their items. `None`: [`DEFAULT_STORAGE`].
    pub max_stored_objects: Option<u64>,
    /// The models that the project's keys may use; all if absent.
    pub models: Option<ModelPermissions>,
    /// How long content is kept. `None`: 30 days, and conversations until they are deleted.
    pub retention: Option<Retention>,
}

impl Policy {
    /// How long responses, deliveries and answers in the cache are kept at most, in seconds. 0: nothing is kept.
    #[must_use]
    pub fn kept_seconds(&self) -> u64 {
        self.retention.unwrap_or(Retention::Days(MAX_RETENTION_DAYS)).seconds()
    }

    /// Whether nothing of a prompt or an answer may outlive its call.
    #[must_use]
    pub fn keeps_nothing(&self) -> bool {
        self.kept_seconds() == 0
    }
}

/// The background responses of a project that workers make at the same time, if its policy names no other number.
pub const DEFAULT_CONCURRENT_JOBS: u64 = 10;

/// The largest `cache_ttl_seconds`.
pub const MAX_CACHE_TTL_SECONDS: u64 = MAX_RETENTION_DAYS * DAY_SECONDS;

/// The sender of a request, made by `app::auth` after a key was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub project: Project,
    /// `key_...`, the id of the API key. It is not the key itself.
    pub api_key_id: String,
    pub key: KeyLimits,
    pub rights: KeyRights,
}

impl Caller {
    /// Checks that the caller's project and key may use a model of this name.
    ///
    /// # Errors
    /// `Forbidden`, whether or not there is such a model.
    pub fn check_model(&self, name: &str) -> Result<(), Forbidden> {
        if self.project.policy.models.as_ref().is_some_and(|models| !models.allow(name)) {
            return Err(Forbidden::ModelOfProject { model: name.to_owned(), project_id: self.project.id.clone() });
        }
        match &self.rights.models {
            Some(models) if !models.has(name) => {
                Err(Forbidden::ModelOfKey { model: name.to_owned(), allowed: models.shown() })
            }
            _ => Ok(()),
        }
    }
}

/// The limits of an API key, in addition to those of its project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLimits {
    /// The hash of the key. Its meter is named by it.
    pub hash: Fingerprint,
    pub limits: Limits,
    /// The number of changes of the limits.
    pub revision: u64,
}

/// An owner of API keys: an application or a team that calls weir for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `svc_acct_` and 24 letters and digits.
    pub id: String,
    pub project_id: String,
    pub name: String,
    /// Unix seconds.
    pub created_at: u64,
}

/// The stored record of an API key. The key itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_` and 24 letters and digits.
    pub id: String,
    pub hash: Fingerprint,
    pub project_id: String,
    pub name: String,
    /// `sk-weir-...abcd`
    pub redacted_value: String,
    /// Unix seconds.
    pub created_at: u64,
    pub service_account_id: String,
    pub limits: Limits,
    pub rights: KeyRights,
    /// The number of changes of the key. A meter stores the revision that it was filled for.
    pub revision: u64,
}

impl Project {
    /// The followers of the project at the same time: as many as its calls.
    #[must_use]
    pub fn concurrent_followers(&self) -> u64 {
        self.limits.concurrent_requests.unwrap_or(DEFAULT_CONCURRENT_REQUESTS)
    }

    /// The background responses of the project that workers make at the same time.
    #[must_use]
    pub fn concurrent_jobs(&self) -> u64 {
        self.policy.concurrent_jobs.unwrap_or(DEFAULT_CONCURRENT_JOBS)
    }

    /// The most that the project may store in conversations.
    #[must_use]
    pub fn storage_limits(&self) -> StorageLimits {
        StorageLimits {
            bytes: self.policy.max_stored_bytes.unwrap_or(DEFAULT_STORAGE.bytes),
            objects: self.policy.max_stored_objects.unwrap_or(DEFAULT_STORAGE.objects),
        }
    }
}

impl ApiKey {
    #[must_use]
    pub fn limits(&self) -> KeyLimits {
        KeyLimits { hash: self.hash.clone(), limits: self.limits, revision: self.revision }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_has_1_to_200_characters() {
        assert_eq!(Name::try_from(" Team ".to_owned()).map(String::from), Ok("Team".to_owned()));
        assert!(Name::try_from("é".repeat(200)).is_ok());
        for wrong in ["", "  ", &"a".repeat(201)] {
            assert_eq!(Name::try_from(wrong.to_owned()).unwrap_err().param.as_deref(), Some("name"));
        }
    }
}
