//! How long the content of a project is kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long content is kept after it was stored: `policy.retention`. In JSON `"none"`, or a number of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Retention {
    /// Nothing of a prompt or an answer outlives its call, but what a poll or a repeated request needs.
    Nothing,
    /// 1 to [`MAX_RETENTION_DAYS`].
    Days(u64),
}

/// The longest retention, and the one of responses if a project sets none: OpenAI's 30 days. The deployed bucket deletes
/// bodies after 32, see `template.yaml`.
pub const MAX_RETENTION_DAYS: u64 = 30;

pub const DAY_SECONDS: u64 = 86_400;

impl Retention {
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Days(days) => days * DAY_SECONDS,
        }
    }
}

impl TryFrom<Value> for Retention {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match (value.as_str(), value.as_u64()) {
            (Some("none"), _) => Ok(Self::Nothing),
            (_, Some(days)) if (1..=MAX_RETENTION_DAYS).contains(&days) => Ok(Self::Days(days)),
            _ => Err(format!("{value}, expected \"none\" or 1 to {MAX_RETENTION_DAYS} days")),
        }
    }
}

impl From<Retention> for Value {
    fn from(retention: Retention) -> Self {
        match retention {
            Retention::Nothing => "none".into(),
            Retention::Days(days) => days.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_retention_reads_back_and_has_bounds() {
        for retention in [Retention::Nothing, Retention::Days(1), Retention::Days(30)] {
            assert_eq!(Retention::try_from(Value::from(retention)), Ok(retention));
        }
        for wrong in [json!(0), json!(31), json!(1.5), json!(-1), json!("7"), json!("None"), json!([])] {
            assert!(Retention::try_from(wrong.clone()).unwrap_err().starts_with(&wrong.to_string()), "{wrong}");
        }
    }
}
