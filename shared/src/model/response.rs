//! The status of a response.

/// The status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// A background response whose run has not started.
    Queued,
    InProgress,
    Completed,
    /// The answer was cut off: by the limit of output tokens or by a content filter.
    Incomplete,
    Failed,
    Cancelled,
}

const ALL: [Status; 6] =
    [Status::Queued, Status::InProgress, Status::Completed, Status::Incomplete, Status::Failed, Status::Cancelled];

impl Status {
    /// The value of `status` in a response.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the status is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(ALL.map(|status| Status::parse(status.name())), ALL.map(Some));
        assert_eq!(Status::parse("done"), None);
        assert_eq!(ALL.map(Status::is_terminal), [false, false, true, true, true, true]);
    }
}
