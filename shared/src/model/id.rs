//! Identifiers and fingerprints.

use std::fmt::Write as _;

use rand::RngExt as _;
use sha2::{Digest, Sha256};

use super::clock::Timestamp;
use super::rng;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of the longest identifier that weir makes, in bytes.
pub const MAX_LENGTH: usize = 64;

/// A new identifier: `prefix` and 24 random letters and digits (143 bits).
#[must_use]
pub fn new(prefix: &str) -> String {
    format!("{prefix}{}", random(24))
}

/// A new identifier that sorts after the identifiers of earlier times: `prefix`, 8 letters and digits of time, and 16
/// random ones (95 bits).
///
/// A list in the order of such ids can continue after a deleted item.
#[must_use]
pub fn new_ordered(prefix: &str, now: Timestamp) -> String {
    format!("{prefix}{}{}", time_digits(now), random(16))
}

/// The begin of the identifiers that [`new_ordered`] makes at a time. All earlier ones sort before it.
#[must_use]
pub fn ordered_prefix(prefix: &str, time: Timestamp) -> String {
    format!("{prefix}{}", time_digits(time))
}

/// 8 letters and digits that sort by time.
fn time_digits(time: Timestamp) -> String {
    let mut left = time.0;
    let mut digits = [0_u8; 8];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(left % 62) as usize];
        left /= 62;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

/// The identifier for `parts`: `prefix` and 24 letters and digits of their hash. It is always the same one.
#[must_use]
pub fn derive(prefix: &str, parts: &[&str]) -> String {
    format!("{prefix}{}", hash_letters(parts, 24))
}

/// The identifier for `time` and `parts`. It sorts like those of [`new_ordered`] and is always the same one.
#[must_use]
pub fn derive_ordered(prefix: &str, time: Timestamp, parts: &[&str]) -> String {
    format!("{prefix}{}{}", time_digits(time), hash_letters(parts, 16))
}

/// `length` letters and digits of a hash, at most 32.
fn hash_letters(parts: &[&str], length: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    letters(&hasher.finalize(), length)
}

/// `length` letters and digits of a hash, at most one for each of its bytes.
pub(super) fn letters(hash: &[u8], length: usize) -> String {
    hash.iter().take(length).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).collect()
}

/// `length` random letters and digits.
#[must_use]
pub fn random(length: usize) -> String {
    let mut rng = rng::rng();
    (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// A SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Hashes `parts` in order. The length of each part is hashed first, so that moving a boundary changes the hash.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hex(&hasher.finalize()))
    }

    /// Restores a stored fingerprint.
    pub(crate) fn from_hex(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_boundary_changes_the_fingerprint() {
        let one = Fingerprint::of([b"ab".as_slice(), b"c"]);
        let other = Fingerprint::of([b"a".as_slice(), b"bc"]);
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 64);
    }

    #[test]
    fn ordered_identifiers_sort_as_they_were_made() {
        let times = [0, 1, 61, 62, 1_767_225_600_000, 1_767_225_600_001, 4_102_444_800_000];
        let made = times.map(|ms| new_ordered("key_", Timestamp(ms)));
        assert!(made.is_sorted(), "{made:?}");
        assert!(made.iter().all(|id| id.len() == 28), "{made:?}");
    }

    #[test]
    fn derived_identifiers_are_always_the_same_and_sort_by_time() {
        let made = |ms, part| derive_ordered("wh_", Timestamp(ms), &["evt_1", part]);
        assert_eq!(made(1_767_225_600_000, "we_1"), made(1_767_225_600_000, "we_1"));
        assert_ne!(made(1_767_225_600_000, "we_1"), made(1_767_225_600_000, "we_2"));
        assert!(made(1_767_225_600_000, "we_2") < made(1_767_225_600_001, "we_1"));
        assert_eq!((made(0, "we_1").len(), derive("evt_", &["a", "b"]).len()), (27, 28));
        assert_ne!(derive("evt_", &["ab", "c"]), derive("evt_", &["a", "bc"]));
    }

    #[test]
    fn identifiers_differ_and_carry_their_prefix() {
        let (one, other) = (new("proj_"), new("proj_"));
        assert_ne!(one, other);
        assert!(one.starts_with("proj_") && one.len() == 29, "{one}");
    }
}
