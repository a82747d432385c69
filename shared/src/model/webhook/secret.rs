//! The signatures of deliveries: Standard Webhooks, `v1`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;

use crate::model::clock::Timestamp;
use crate::model::rng;
use crate::model::secret::Secret;

/// How long a replaced secret still signs.
pub const ROTATION_MS: u64 = 24 * 3_600_000;

/// Replaced secrets that may sign at once.
pub const MAX_RETIRED: usize = 4;

const PREFIX: &str = "whsec_";

/// The letters of a secret that its hint shows.
const HINTED: usize = 4;

/// A secret that signs deliveries: `whsec_` and the base64 of its 32 bytes.
///
/// The table stores it in clear, because weir must sign with it; the table is encrypted at rest. The secret is shown once,
/// when it is made, and never logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecret(Secret);

impl SigningSecret {
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::new(format!("{PREFIX}{}", STANDARD.encode(rng::rng().random::<[u8; 32]>()))))
    }

    /// A secret that was stored.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// As the receiver configures it.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// The end of the secret, by which its owner recognises it.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = self.0.expose();
        let end = text.char_indices().rev().nth(HINTED - 1).map_or("", |(at, _)| &text[at..]);
        format!("{PREFIX}...{end}")
    }

    /// `v1,<base64 HMAC-SHA256 of "{id}.{timestamp}.{body}">`.
    fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let key = STANDARD.decode(self.0.expose().trim_start_matches(PREFIX)).unwrap_or_default();
        // An HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The secrets of an endpoint: the one that was shown last, and the replaced ones that still sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    pub current: SigningSecret,
    /// Those that were replaced, with the time each stops to sign.
    pub retired: Vec<(SigningSecret, Timestamp)>,
}

impl SigningSecrets {
    #[must_use]
    pub fn generate() -> Self {
        Self { current: SigningSecret::generate(), retired: Vec::new() }
    }

    /// Makes a new current secret; the one before signs for [`ROTATION_MS`] more. Several can be retired at the same time:
    /// if an answer with a new secret is lost, receivers know only the one before.
    ///
    /// `None` if [`MAX_RETIRED`] still sign.
    #[must_use]
    pub fn rotate(&self, now: Timestamp) -> Option<Self> {
        let mut retired: Vec<_> = self.retired.iter().filter(|(_, until)| now < *until).cloned().collect();
        if retired.len() >= MAX_RETIRED {
            return None;
        }
        retired.push((self.current.clone(), now.plus_ms(ROTATION_MS)));
        Some(Self { current: SigningSecret::generate(), retired })
    }

    /// The value of `webhook-signature` at `now`: one signature per secret that signs, the current one's first.
    #[must_use]
    pub fn signature(&self, id: &str, now: Timestamp, body: &str) -> String {
        let still = self.retired.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        let signing = std::iter::once(&self.current).chain(still);
        signing.map(|secret| secret.sign(id, now.seconds(), body)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standards_own_library_does() {
        let secret = SigningSecret::from_stored("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned());
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            secret.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn a_secret_has_32_bytes_and_does_not_print_itself() {
        let secret = SigningSecret::generate();
        let encoded = secret.secret().expose().strip_prefix("whsec_").unwrap().to_owned();
        assert_eq!(STANDARD.decode(&encoded).unwrap().len(), 32);
        assert!(!format!("{secret:?}").contains(&encoded));
        assert_ne!(secret, SigningSecret::generate());
    }

    #[test]
    fn a_hint_shows_the_last_letters() {
        assert_eq!(SigningSecret::from_stored("whsec_C2FVsBQIhrscChlQ".to_owned()).hint(), "whsec_...ChlQ");
        assert_eq!(SigningSecret::from_stored(String::new()).hint(), "whsec_...");
    }

    #[test]
    fn a_replaced_secret_signs_for_a_day() {
        let first = SigningSecrets::generate();
        let second = first.rotate(Timestamp(1_000)).unwrap();
        let [before, after] = [ROTATION_MS + 999, ROTATION_MS + 1_000].map(Timestamp);
        let both = second.signature("wh_1", before, "{}");
        let (new, old) = both.split_once(' ').unwrap();
        assert_eq!(old, first.signature("wh_1", before, "{}"));
        assert_eq!(second.signature("wh_1", after, "{}").split(' ').count(), 1);
        assert_eq!(new, second.current.sign("wh_1", before.seconds(), "{}"));
    }

    #[test]
    fn no_secret_stops_to_sign_because_of_a_lost_answer() {
        let mut secrets = SigningSecrets::generate();
        let known = secrets.current.clone();
        for _ in 0..MAX_RETIRED {
            secrets = secrets.rotate(Timestamp(0)).unwrap();
        }
        assert!(secrets.retired.iter().any(|(secret, _)| *secret == known));
        assert_eq!(secrets.rotate(Timestamp(1)), None);
        assert_eq!(secrets.rotate(Timestamp(ROTATION_MS)).unwrap().retired.len(), 1);
    }
}
