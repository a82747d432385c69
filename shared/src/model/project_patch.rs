//! Changes of a project, field by field. A field that a patch does not name stays as it is.

use crate::model::model_names::ModelPermissions;
use crate::model::money::MicroUsd;
use crate::model::patch::Patch;
use crate::model::project::{Limits, Name, Policy, Project};
use crate::model::retention::Retention;

/// A change of a project. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectPatch {
    pub name: Option<Name>,
    pub limits: LimitsPatch,
    pub policy: PolicyPatch,
}

/// A change of the limits of a project or an API key. `Clear` removes a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    pub requests_per_minute: Patch<u64>,
    pub tokens_per_minute: Patch<u64>,
    pub concurrent_requests: Patch<u64>,
    pub budget: Patch<MicroUsd>,
}

/// A change of a project's policy. `Clear` restores the default of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyPatch {
    pub default_max_output_tokens: Patch<u64>,
    pub dedupe_retries: Patch<bool>,
    pub cache_ttl_seconds: Patch<u64>,
    pub run_header: Patch<String>,
    pub run_budget_usd: Patch<MicroUsd>,
    pub run_lifetime_seconds: Patch<u64>,
    pub concurrent_jobs: Patch<u64>,
    pub max_stored_bytes: Patch<u64>,
    pub max_stored_objects: Patch<u64>,
    pub models: Patch<ModelPermissions>,
    pub retention: Patch<Retention>,
}

impl ProjectPatch {
    /// Changes the project. The caller updates the revision.
    pub fn apply(&self, project: &mut Project) {
        if let Some(name) = &self.name {
            project.name = name.clone().into();
        }
        project.limits = self.limits.apply(project.limits);
        project.policy = self.policy.apply(&project.policy);
    }
}

impl LimitsPatch {
    /// Returns the patch that removes all limits.
    #[must_use]
    pub fn clear() -> Self {
        Self {
            requests_per_minute: Patch::Clear,
            tokens_per_minute: Patch::Clear,
            concurrent_requests: Patch::Clear,
            budget: Patch::Clear,
        }
    }

    /// Returns the limits after the change.
    #[must_use]
    pub fn apply(&self, before: Limits) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute.apply(before.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.apply(before.tokens_per_minute),
            concurrent_requests: self.concurrent_requests.apply(before.concurrent_requests),
            budget: self.budget.apply(before.budget),
        }
    }
}

impl PolicyPatch {
    /// Returns the patch that restores the default policy.
    #[must_use]
    pub fn clear() -> Self {
        Self {
            default_max_output_tokens: Patch::Clear,
            dedupe_retries: Patch::Clear,
            cache_ttl_seconds: Patch::Clear,
            run_header: Patch::Clear,
            run_budget_usd: Patch::Clear,
            run_lifetime_seconds: Patch::Clear,
            concurrent_jobs: Patch::Clear,
            max_stored_bytes: Patch::Clear,
            max_stored_objects: Patch::Clear,
            models: Patch::Clear,
            retention: Patch::Clear,
        }
    }

    /// Returns the policy after the change.
    #[must_use]
    pub fn apply(&self, before: &Policy) -> Policy {
        Policy {
            default_max_output_tokens: self.default_max_output_tokens.apply(before.default_max_output_tokens),
            dedupe_retries: self.dedupe_retries.apply(Some(before.dedupe_retries)).unwrap_or_default(),
            cache_ttl_seconds: self.cache_ttl_seconds.apply(before.cache_ttl_seconds),
            run_header: self.run_header.clone().apply(before.run_header.clone()),
            run_budget_usd: self.run_budget_usd.apply(before.run_budget_usd),
            run_lifetime_seconds: self.run_lifetime_seconds.apply(before.run_lifetime_seconds),
            concurrent_jobs: self.concurrent_jobs.apply(before.concurrent_jobs),
            max_stored_bytes: self.max_stored_bytes.apply(before.max_stored_bytes),
            max_stored_objects: self.max_stored_objects.apply(before.max_stored_objects),
            models: self.models.clone().apply(before.models.clone()),
            retention: self.retention.apply(before.retention),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::model_names::{ModelNames, PermissionMode};

    #[test]
    fn changes_only_the_named_limits() {
        let before = Limits {
            requests_per_minute: Some(1),
            tokens_per_minute: Some(2),
            concurrent_requests: Some(3),
            budget: Some(MicroUsd(4)),
        };
        let patch = LimitsPatch {
            requests_per_minute: Patch::Clear,
            tokens_per_minute: Patch::Set(9),
            concurrent_requests: Patch::Set(8),
            budget: Patch::Keep,
        };
        let after = Limits {
            requests_per_minute: None,
            tokens_per_minute: Some(9),
            concurrent_requests: Some(8),
            budget: Some(MicroUsd(4)),
        };
        assert_eq!(patch.apply(before), after);
        assert_eq!(LimitsPatch::clear().apply(before), Limits::default());
    }

    #[test]
    fn a_cleared_policy_is_the_default() {
        let before = Policy {
            default_max_output_tokens: Some(5),
            dedupe_retries: true,
            cache_ttl_seconds: Some(60),
            run_header: Some("x-session".into()),
            run_budget_usd: Some(MicroUsd(5)),
            run_lifetime_seconds: Some(60),
            concurrent_jobs: Some(5),
            max_stored_bytes: Some(6),
            max_stored_objects: Some(7),
            models: Some(ModelPermissions {
                mode: PermissionMode::DenyList,
                model_ids: ModelNames::parse("models", vec!["a".into()]).unwrap(),
            }),
            retention: Some(Retention::Days(7)),
        };
        assert_eq!(PolicyPatch::default().apply(&before), before);
        assert_eq!(PolicyPatch::clear().apply(&before), Policy::default());
    }
}
