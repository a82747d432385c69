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
        if !has_form || !is_alphanumeric(project) || !is_alphanumeric(secret) {
            return None;
        }
        Some(Self { project_id: format!("{PROJECT_PREFIX}{project}"), secret: Secret::new(text) })
    }

    /// Whether the key was made with this check.
    #[must_use]
    pub fn fits(&self, check: &KeyCheck) -> bool {
        check.fits(self.secret.expose())
    }

    /// The project that the key names.
    #[must_use]
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The hash under which the table stores the key.
    ///
    /// SHA-256 without salt. The secret has 238 random bits, so it cannot be guessed.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        Fingerprint::of([self.secret.expose().as_bytes()])
    }

    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// A part of the key that identifies it for a person: `sk-weir-...abcd`.
    #[must_use]
    pub fn redact(&self) -> String {
        let text = self.secret.expose();
        format!("{KEY_PREFIX}...{}", &text[text.len() - 4..])
    }
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
