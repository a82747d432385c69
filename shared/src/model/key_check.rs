//! The check at the end of each key that weir makes. It tells such a key from a guess without a look into the table.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::id;
use super::secret::Secret;

/// Letters and digits of a check: 95 bits.
pub const CHECK_LENGTH: usize = 16;

/// The secret from which the checks of a deployment are made.
///
/// It protects nothing but the table's reads: a key with a right check is still looked for in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCheck(Secret);

impl KeyCheck {
    /// A new secret of 256 random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::new(id::random(43)))
    }

    /// A secret that was stored.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// The text with its check at the end.
    pub(super) fn append_to(&self, text: &str) -> String {
        format!("{text}{}", self.of(text))
    }

    /// Whether a key ends with the check of the rest.
    #[must_use]
    pub fn fits(&self, key: &Secret) -> bool {
        let text = key.expose();
        let Some((rest, check)) = text.len().checked_sub(CHECK_LENGTH).and_then(|at| text.split_at_checked(at)) else {
            return false;
        };
        // All letters are compared, so that the duration tells nothing about the right ones.
        self.of(rest).bytes().zip(check.bytes()).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    }

    /// Letters and digits of the HMAC-SHA256 of a text.
    fn of(&self, text: &str) -> String {
        // An HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes()) else { return String::new() };
        mac.update(text.as_bytes());
        id::letters(&mac.finalize().into_bytes(), CHECK_LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fits_its_text_and_its_secret_only() {
        let (check, other) = (KeyCheck::generate(), KeyCheck::generate());
        let text = check.append_to("sk-weir-a-b");
        assert_eq!(text.len(), "sk-weir-a-b".len() + CHECK_LENGTH);
        let key = Secret::new(&*text);
        assert!(check.fits(&key) && !other.fits(&key));
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(!check.fits(&Secret::new(String::from_utf8(wrong).unwrap())), "letter {at}");
        }
        for short in ["", "sk-weir-a-b", "é", &"é".repeat(9)] {
            assert!(!check.fits(&Secret::new(short)), "{short}");
        }
    }

    #[test]
    fn the_check_of_a_key_never_changes() {
        let check = KeyCheck::from_stored("secret");
        assert_eq!(check.append_to("sk-weir-a-b"), "sk-weir-a-bODKeDsnOCCVIzgvI");
    }
}
