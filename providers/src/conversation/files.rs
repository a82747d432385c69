//! The media types of files.

/// The media type of PDF files.
pub(crate) const PDF: &str = "application/pdf";

/// Whether a file of this type can be read as text.
pub(crate) fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

/// The types by the ends of names.
const BY_NAME: [(&str, &str); 10] = [
    (".pdf", PDF),
    (".txt", "text/plain"),
    (".md", "text/markdown"),
    (".csv", "text/csv"),
    (".html", "text/html"),
    (".json", "application/json"),
    (".doc", "application/msword"),
    (".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (".xls", "application/vnd.ms-excel"),
    (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
];

/// The type of a file. Browsers name many types `application/octet-stream`, or not at all: then its name decides.
pub(super) fn media_type(named: String, file_name: Option<&str>) -> String {
    if !matches!(named.as_str(), "" | "application/octet-stream") {
        return named;
    }
    let file_name = file_name.unwrap_or_default().to_ascii_lowercase();
    let found = BY_NAME.iter().find(|(end, _)| file_name.ends_with(end));
    found.map_or(named, |(_, media_type)| (*media_type).to_owned())
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
        check("application/octet-stream", Some("a.zip"), "application/octet-stream");
        check("", None, "");
    }
}
