//! The caller's name for its end user, as Anthropic takes it.

use std::borrow::Cow;

use shared::model::id;

/// The longest that Anthropic takes, in characters.
const MAX_CHARS: usize = 256;
/// Telephone numbers have at least this many digits.
const PHONE_DIGITS: usize = 7;

/// The name that Anthropic is sent. It refuses mail addresses and telephone numbers, and wants an identifier that says
/// nothing about the person. A name that looks like one of the two, or that is too long, becomes a hash of it, always
/// the same one.
pub(super) fn user_id(user: &str) -> Cow<'_, str> {
    if user.contains('@') || is_phone(user) || user.chars().count() > MAX_CHARS {
        return id::derive("user_", &[user]).into();
    }
    user.into()
}

fn is_phone(user: &str) -> bool {
    let digits = user.chars().filter(char::is_ascii_digit).count();
    digits >= PHONE_DIGITS && user.chars().all(|c| c.is_ascii_digit() || " +-.()/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_opaque_names() {
        for user in ["user-7", "", "123456", "0f8c2a9e-1b2c-4d5e-8f90-123456789abc", "abc+49"] {
            assert_eq!(user_id(user), user);
        }
    }

    #[test]
    fn hides_what_names_a_person() {
        let long = "a".repeat(257);
        for user in ["jo@example.com", "mail:jo@example.com", "+49 30 1234567", "(030) 123-4567", &long] {
            let hidden = user_id(user);
            assert!(hidden.starts_with("user_") && hidden.len() == 29, "{hidden}");
            assert_eq!(hidden, user_id(user));
        }
        assert_ne!(user_id("jo@example.com"), user_id("al@example.com"));
    }
}
