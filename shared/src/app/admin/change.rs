//! Changes of a project, field by field: what is not named stays as it is.

use serde::{Deserialize, Deserializer};

use crate::model::money::MicroUsd;
use crate::model::project::{Limits, Name, Policy, Project};

/// What happens to a field that may be empty. Read from JSON: absent keeps (with `#[serde(default)]`), `null` clears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T: Copy> Patch<T> {
    /// The field after the edit.
    #[must_use]
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> Patch<T> {
    /// The edit with its value checked or converted.
    ///
    /// # Errors
    /// What `check` returns.
    pub fn try_map<U, E>(self, check: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(check(value)?),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// A change of a project. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectChange {
    pub name: Option<Name>,
    pub limits: LimitsChange,
    pub policy: PolicyChange,
}

/// A change of a project's limits; a cleared limit is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsChange {
    pub requests_per_minute: Patch<u64>,
    pub tokens_per_minute: Patch<u64>,
    pub budget: Patch<MicroUsd>,
}

/// A change of a project's policy; a cleared field has its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyChange {
    pub default_max_output_tokens: Patch<u64>,
    pub dedupe_retries: Patch<bool>,
    pub cache_ttl_seconds: Patch<u64>,
}

impl ProjectChange {
    /// Makes the change; the revision is the caller's.
    pub(super) fn apply(&self, project: &mut Project) {
        if let Some(name) = &self.name {
            project.name = name.clone().into();
        }
        project.limits = self.limits.apply(project.limits);
        project.policy = self.policy.apply(&project.policy);
    }
}

impl LimitsChange {
    /// No limits at all.
    #[must_use]
    pub fn clear() -> Self {
        Self { requests_per_minute: Patch::Clear, tokens_per_minute: Patch::Clear, budget: Patch::Clear }
    }

    /// The limits after the change.
    #[must_use]
    pub fn apply(&self, before: Limits) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute.apply(before.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.apply(before.tokens_per_minute),
            budget: self.budget.apply(before.budget),
        }
    }
}

impl PolicyChange {
    /// The default policy.
    #[must_use]
    pub fn clear() -> Self {
        Self { default_max_output_tokens: Patch::Clear, dedupe_retries: Patch::Clear, cache_ttl_seconds: Patch::Clear }
    }

    /// The policy after the change.
    #[must_use]
    pub fn apply(&self, before: &Policy) -> Policy {
        Policy {
            default_max_output_tokens: self.default_max_output_tokens.apply(before.default_max_output_tokens),
            dedupe_retries: self.dedupe_retries.apply(Some(before.dedupe_retries)).unwrap_or_default(),
            cache_ttl_seconds: self.cache_ttl_seconds.apply(before.cache_ttl_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let before = Limits { requests_per_minute: Some(1), tokens_per_minute: Some(2), budget: Some(MicroUsd(3)) };
        let change =
            LimitsChange { requests_per_minute: Patch::Clear, tokens_per_minute: Patch::Set(9), budget: Patch::Keep };
        let after = Limits { requests_per_minute: None, tokens_per_minute: Some(9), budget: Some(MicroUsd(3)) };
        assert_eq!(change.apply(before), after);
        assert_eq!(LimitsChange::clear().apply(before), Limits::default());
    }

    #[test]
    fn a_cleared_policy_is_the_default() {
        let before = Policy { default_max_output_tokens: Some(5), dedupe_retries: true, cache_ttl_seconds: Some(60) };
        assert_eq!(PolicyChange::default().apply(&before), before);
        assert_eq!(PolicyChange::clear().apply(&before), Policy::default());
    }

    #[test]
    fn null_clears_and_absent_keeps() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            a: Patch<u64>,
        }
        let read = |json| serde_json::from_str::<Body>(json).unwrap().a;
        assert_eq!(["{}", r#"{"a":null}"#, r#"{"a":7}"#].map(read), [Patch::Keep, Patch::Clear, Patch::Set(7)]);
    }
}
