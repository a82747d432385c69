//! The media types of files in calls.

use shared::model::media_type::of_name;
pub(crate) use shared::model::media_type::{PDF, is_text};

/// The type of a file. Browsers name many types `application/octet-stream`, or not at all: then its name decides.
pub(super) fn media_type(named: String, file_name: Option<&str>) -> String {
    if !matches!(named.as_str(), "" | "application/octet-stream") {
        return named;
    }
    file_name.and_then(of_name).map_or(named, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_decides_where_the_type_says_nothing() {
        let check = |named: &str, file_name: Option<&str>, expected: &str| {
            assert_eq!(media_type(named.to_owned(), file_name), expected, "{named} {file_name:?}");
        };
        check("application/octet-stream", Some("a.b.MD"), "text/markdown");
        check("", Some("a.pdf"), PDF);
        check("text/plain", Some("a.pdf"), "text/plain");
        check("application/octet-stream", Some("a.bin"), "application/octet-stream");
        check("", None, "");
    }
}
