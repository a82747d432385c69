//! API keys as clients send them.

use super::id::{self, Fingerprint};
use super::key_check::{CHECK_LENGTH, KeyCheck};
use super::secret::Secret;

/// An API key as a client sends it: `sk-weir-<project>-<secret><check>`.
///
/// The key names its project, so that weir reads the project and the key at the same time. Only the stored key proves
/// that the name is true. The check shows without a read that weir made the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeySecret {
    project_id: String,
    secret: Secret,
}

const KEY_PREFIX: &str = "sk-weir-";
const PROJECT_PREFIX: &str = "proj_";
/// Random letters and digits of a key: 238 bits.
const RANDOM_LENGTH: usize = 40;

impl ApiKeySecret {
    /// A new key for a project.
    #[must_use]
    pub fn generate(project_id: &str, check: &KeyCheck) -> Self {
        let project = project_id.strip_prefix(PROJECT_PREFIX).unwrap_or(project_id);
        let text = format!("{KEY_PREFIX}{project}-{}", id::random(RANDOM_LENGTH));
        Self { project_id: project_id.to_owned(), secret: Secret::new(check.append_to(&text)) }
    }

    /// Reads a key; `None` if the text does not have the form of a key. Its check may be wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (project, secret) = text.strip_prefix(KEY_PREFIX)?.split_once('-')?;
        let is_alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let has_form = (1..=64).contains(&project.len()) && secret.len() == RANDOM_LENGTH + CHECK_LENGTH;
        if !has_form || project == ADMIN || !is_alphanumeric(project) || !is_alphanumeric(secret) {
            return None;
        }
        Some(Self { project_id: format!("{PROJECT_PREFIX}{project}"), secret: Secret::new(text) })
    }

    /// Whether the key was made with this check.
    #[must_use]
    pub fn fits(&self, check: &KeyCheck) -> bool {
        check.fits(&self.secret)
    }

    /// The project that the key names.
    #[must_use]
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The hash under which the table stores the key.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        hash(&self.secret)
    }

    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// A part of the key that identifies it for a person: `sk-weir-...abcd`.
    #[must_use]
    pub fn redact(&self) -> String {
        redact(KEY_PREFIX, &self.secret)
    }
}

/// A key of the admin API that weir made: `sk-weir-admin-<secret><check>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKeySecret(Secret);

const ADMIN: &str = "admin";
const ADMIN_PREFIX: &str = "sk-weir-admin-";

impl AdminKeySecret {
    #[must_use]
    pub fn generate(check: &KeyCheck) -> Self {
        Self(Secret::new(check.append_to(&format!("{ADMIN_PREFIX}{}", id::random(RANDOM_LENGTH)))))
    }

    /// Reads a key; `None` if the text does not have the form of a key that weir makes. Its check may be wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(ADMIN_PREFIX)?;
        let has_form =
            secret.len() == RANDOM_LENGTH + CHECK_LENGTH && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        has_form.then(|| Self(Secret::new(text)))
    }

    /// The hash under which the table stores the key.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        hash(&self.0)
    }

    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// A part of the key that identifies it for a person: `sk-weir-admin-...abcd`.
    #[must_use]
    pub fn redact(&self) -> String {
        redact(ADMIN_PREFIX, &self.0)
    }
}

/// SHA-256 without salt. A key has 238 random bits, so it cannot be guessed.
fn hash(key: &Secret) -> Fingerprint {
    Fingerprint::of([key.expose().as_bytes()])
}

/// The begin and the last four characters of a key, which is ASCII.
fn redact(prefix: &str, key: &Secret) -> String {
    let text = key.expose();
    format!("{prefix}...{}", &text[text.len() - 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_project_has_its_check_and_reads_back() {
        let (project, check) = (id::new("proj_"), KeyCheck::generate());
        let key = ApiKeySecret::generate(&project, &check);
        assert_eq!(ApiKeySecret::parse(key.secret().expose()), Some(key.clone()));
        assert_eq!(key.project_id(), project);
        assert!(key.fits(&check) && !key.fits(&KeyCheck::generate()));
        assert!(key.secret().expose().ends_with(&key.redact()[11..]), "{}", key.redact());
    }

    #[test]
    fn an_admin_key_is_no_key_of_a_project() {
        let key = AdminKeySecret::generate(&KeyCheck::generate());
        let text = key.secret().expose();
        assert_eq!((AdminKeySecret::parse(text), ApiKeySecret::parse(text)), (Some(key.clone()), None));
        assert_eq!(AdminKeySecret::parse(&text[..text.len() - 1]), None);
        assert!(text.ends_with(&key.redact()[17..]) && key.redact().starts_with("sk-weir-admin-..."));
    }

    #[test]
    fn refuses_what_has_not_the_form_of_a_key() {
        let key = ApiKeySecret::generate("proj_a", &KeyCheck::generate());
        let (text, last) = (key.secret().expose(), key.secret().expose().len() - 1);
        let (shorter, longer) = (&text[..last], &format!("{text}a"));
        let (sign, foreign) = (&format!("{shorter}-"), &text.replacen("-a-", "-a#b-", 1));
        let bearer = &format!("Bearer {text}");
        for wrong in ["", "sk-1", "sk-weir-", "sk-weir-abc", "sk-weir-abc-", shorter, longer, sign, foreign, bearer] {
            assert_eq!(ApiKeySecret::parse(wrong), None, "{wrong}");
        }
    }
}
