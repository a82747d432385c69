//! The error for a member that a body does not have, with the member that was probably meant.

use super::body::shortened;
use crate::model::invalid::Invalid;

/// The error for the unknown member `name` of the object at the path `at`; `known` are the members of that object.
pub(in crate::dialects) fn unknown<'a>(at: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Invalid {
    let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let meant = meant(name, known).map(|known| format!("Did you mean '{}'?", path(known)));
    refused(&path(name), meant.as_deref())
}

/// The error for the unknown member at a path, with a sentence that helps.
pub(in crate::dialects) fn refused(path: &str, help: Option<&str>) -> Invalid {
    let path = shortened(path);
    let help = help.map(|help| format!(" {help}")).unwrap_or_default();
    Invalid {
        message: format!("Unknown parameter: '{path}'.{help}"),
        param: Some(path.to_owned()),
        code: Some("unknown_parameter"),
    }
}

/// The longest name for which a similar one is looked for. No known member is longer.
const LONGEST: usize = 64;

/// The known name that differs least from `name`: in at most a third of its letters.
fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let with_distance = known.into_iter().map(|known| (distance(&name, known), known));
    with_distance.filter(|(distance, known)| *distance <= known.len().div_ceil(3).min(3)).min().map(|(_, known)| known)
}

/// The number of letters to insert, to remove, to replace or to swap with the next one, so that `one` becomes `other`.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != wanted);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *wanted && other[column - 1] == *letter {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["model", "temperature", "top_p", "max_output_tokens", "url"];

    #[track_caller]
    fn check(at: &str, name: &str, message: &str) {
        assert_eq!(unknown(at, name, KNOWN).message, message);
    }

    #[test]
    fn a_similar_member_is_named() {
        check("", "temprature", "Unknown parameter: 'temprature'. Did you mean 'temperature'?");
        check("", "modle", "Unknown parameter: 'modle'. Did you mean 'model'?");
        check("", "Max-Output-Tokens", "Unknown parameter: 'Max-Output-Tokens'. Did you mean 'max_output_tokens'?");
        check("a[0]", "ulr", "Unknown parameter: 'a[0].ulr'. Did you mean 'a[0].url'?");
        check("", "stop", "Unknown parameter: 'stop'.");
        check("", "", "Unknown parameter: ''.");
    }

    #[test]
    fn a_long_name_is_quoted_in_part() {
        let refused = unknown("", &"é".repeat(100_000), KNOWN);
        assert!(refused.message.len() < 400 && refused.param.unwrap().len() <= 300);
    }

    #[test]
    fn distances_count_single_letters() {
        for (one, other, expected) in [("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
