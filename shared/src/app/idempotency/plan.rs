//! Which record makes a request safe to repeat.

use crate::data::RecordKey;
use crate::model::id::Fingerprint;
use crate::model::project::Project;

/// How long an answer can be replayed. Where nothing is kept, as long as an SDK retries: [`RETRIES_KEPT_SECONDS`].
const KEPT_SECONDS: u64 = 86_400;
/// The longest that Lambda lets a function run.
const LONGEST_RUN_SECONDS: u64 = 900;
/// How long a request is remembered for the retries that an SDK makes of it: an SDK waits 600 s before each.
pub(in crate::app) const RETRIES_KEPT_SECONDS: u64 = LONGEST_RUN_SECONDS + 600;

/// How a request is made safe to repeat.
#[derive(Debug, Clone)]
pub(in crate::app) struct KeyPlan {
    pub(super) key: RecordKey,
    pub(super) fingerprint: Fingerprint,
    /// The request is known to be new: it replaces the record of an earlier one.
    pub(super) is_new: bool,
    pub(super) kept_seconds: u64,
}

impl KeyPlan {
    /// From the caller's key; else, where the project wants it, from the body itself. `None`: not safe to repeat.
    pub(in crate::app) fn new(
        project: &Project,
        path: &str,
        key: Option<&str>,
        retry_count: u32,
        fingerprint: impl FnOnce() -> Fingerprint,
    ) -> Option<Self> {
        let record_key = |kind: &str, key: &str| RecordKey {
            project_id: project.id.clone(),
            hash: Fingerprint::of([b"POST".as_slice(), path.as_bytes(), kind.as_bytes(), key.as_bytes()]),
        };
        match key {
            Some(key) => Some(Self {
                key: record_key("key", key),
                fingerprint: fingerprint(),
                is_new: false,
                kept_seconds: if project.policy.keeps_nothing() { RETRIES_KEPT_SECONDS } else { KEPT_SECONDS },
            }),
            None if project.policy.dedupe_retries => {
                let fingerprint = fingerprint();
                let key = record_key("retry", fingerprint.as_str());
                Some(Self { key, fingerprint, is_new: retry_count == 0, kept_seconds: RETRIES_KEPT_SECONDS })
            }
            None => None,
        }
    }
}
