//! Runs: the calls of one agent's task, which share a budget of their own.

use std::time::Duration;

use super::{MeterKey, RUN_PERIOD, Scope};
use crate::model::id::Fingerprint;
use crate::model::invalid::Invalid;
use crate::model::money::MicroUsd;
use crate::model::project::Policy;

/// The name of a run, as its caller chose it: 1 to 128 letters, digits and `._:-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunName(String);

/// A longer name costs more in each of the run's usage counters.
const MAX_NAME: usize = 128;

impl RunName {
    /// Checks a name. `param` is where the caller wrote it.
    ///
    /// # Errors
    /// `Invalid` with the allowed characters and lengths.
    pub fn parse(name: &str, param: &str) -> Result<Self, Invalid> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
            return Ok(Self(name.to_owned()));
        }
        let expected = format!("expected 1 to {MAX_NAME} letters, digits and `._:-`");
        Err(Invalid::field(param, format!("`{param}` is no name of a run: {expected}.")))
    }

    /// A name that the table holds.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A run that a call belongs to, with the budget that it gets if the call is its first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub name: RunName,
    /// `None`: only the project and the key limit the run.
    pub budget: Option<MicroUsd>,
    /// How long after its first call the run ends.
    pub lifetime: Duration,
}

/// The lifetime of a run in a project whose policy names none: a week, so that a session of an agent can be resumed.
const LIFETIME_SECONDS: u64 = 7 * 86_400;

impl Run {
    /// A run under a project's policy. A caller can lower the policy's budget, and not raise it.
    #[must_use]
    pub fn new(name: RunName, asked: Option<MicroUsd>, policy: &Policy) -> Self {
        let budget = match (asked, policy.run_budget_usd) {
            (Some(asked), Some(allowed)) => Some(asked.min(allowed)),
            (asked, allowed) => asked.or(allowed),
        };
        let lifetime = Duration::from_secs(policy.run_lifetime_seconds.unwrap_or(LIFETIME_SECONDS));
        Self { name, budget, lifetime }
    }

    /// The only shard of the run's meter.
    #[must_use]
    pub fn meter(&self, project_id: &str) -> MeterKey {
        let hash = Fingerprint::of([self.name.as_str().as_bytes()]);
        MeterKey {
            project_id: project_id.to_owned(),
            scope: Scope::Run(hash.as_str().to_owned()),
            period: RUN_PERIOD.to_owned(),
            shard: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_has_no_separator() {
        for name in ["a", "agent-1.run:2", &"x".repeat(128)] {
            assert_eq!(RunName::parse(name, "x-weir-run").unwrap().as_str(), name);
        }
        for wrong in ["", "a b", "a#b", "é", &"x".repeat(129)] {
            assert_eq!(RunName::parse(wrong, "x-weir-run").unwrap_err().param.as_deref(), Some("x-weir-run"));
        }
    }

    #[test]
    fn a_caller_lowers_the_budget_of_the_policy_and_never_raises_it() {
        let budget = |asked: Option<u64>, allowed: Option<u64>| {
            let policy = Policy { run_budget_usd: allowed.map(MicroUsd), ..Policy::default() };
            Run::new(RunName("r".into()), asked.map(MicroUsd), &policy).budget.map(|budget| budget.0)
        };
        assert_eq!(budget(Some(5), Some(9)), Some(5));
        assert_eq!(budget(Some(10), Some(9)), Some(9));
        assert_eq!(budget(None, Some(9)), Some(9));
        assert_eq!(budget(Some(5), None), Some(5));
        assert_eq!(budget(None, None), None);
    }
}
