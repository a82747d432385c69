//! How much a project stores until it deletes it, and how much it may.

use serde::Serialize;

/// An amount of stored content: of all conversations and files of a project, or of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Of the items of conversations, as JSON, and of the contents of files.
    pub bytes: u64,
    /// Conversations, their items, and files.
    pub objects: u64,
}

impl Stored {
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let Self { bytes, objects } = more;
        Self { bytes: self.bytes.saturating_add(bytes), objects: self.objects.saturating_add(objects) }
    }
}

/// The most that a project may store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StorageLimits {
    pub bytes: u64,
    pub objects: u64,
}

/// The limits of projects whose policy names no others: 10 GiB and a million objects.
pub const DEFAULT_STORAGE: StorageLimits = StorageLimits { bytes: 10 * 1024 * 1024 * 1024, objects: 1_000_000 };

/// A request would store more than its project may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Project `{project_id}` may store {limit} {unit} in conversations and files and has {stored}; this request needs {needed}. Delete some of them, or ask an administrator to raise `policy.{setting}`."
)]
pub struct StorageFull {
    project_id: String,
    unit: &'static str,
    setting: &'static str,
    limit: u64,
    stored: u64,
    needed: u64,
}

impl StorageLimits {
    /// Checks that a project that has `stored` may store `more`. `more` is not empty.
    ///
    /// # Errors
    /// `StorageFull`, for the first limit that does not allow it.
    pub fn check(&self, project_id: &str, stored: Stored, more: Stored) -> Result<(), StorageFull> {
        let bytes = ("bytes", "max_stored_bytes", self.bytes, stored.bytes, more.bytes);
        let objects = ("objects", "max_stored_objects", self.objects, stored.objects, more.objects);
        let is_over = |stored: u64, more: u64, limit| more > 0 && stored.saturating_add(more) > limit;
        match [bytes, objects].into_iter().find(|(_, _, limit, stored, more)| is_over(*stored, *more, *limit)) {
            None => Ok(()),
            Some((unit, setting, limit, stored, needed)) => {
                Err(StorageFull { project_id: project_id.to_owned(), unit, setting, limit, stored, needed })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_exactly_and_not_passed() {
        let limits = StorageLimits { bytes: 100, objects: 10 };
        let check = |stored: (u64, u64), more: (u64, u64)| {
            let [stored, more] = [stored, more].map(|(bytes, objects)| Stored { bytes, objects });
            limits.check("p", stored, more).map_err(|full| full.setting)
        };
        assert_eq!(check((90, 9), (10, 1)), Ok(()));
        assert_eq!(check((91, 9), (10, 1)), Err("max_stored_bytes"));
        assert_eq!(check((90, 10), (10, 1)), Err("max_stored_objects"));
        assert_eq!(check((u64::MAX, 0), (10, 1)), Err("max_stored_bytes"));
        assert_eq!(check((500, 0), (0, 1)), Ok(()), "what needs no byte may be stored where bytes are too many");
    }
}
