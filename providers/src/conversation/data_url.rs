//! Data URLs of images and files.

use super::files::PDF;

/// The content of a data URL in base64.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// In lower case, without parameters, in the spelling that providers know.
    pub media_type: String,
    /// In base64.
    pub data: String,
}

/// The content of a data URL; `None` if the URL is not in base64.
pub(super) fn parse(url: &str) -> Option<Data> {
    let (head, data) = url.get(SCHEME.len()..)?.split_once(',')?;
    let mut words = head.split(';');
    let named = words.next().unwrap_or_default();
    if !words.any(|word| word.trim().eq_ignore_ascii_case("base64")) {
        return None;
    }
    Some(Data { media_type: media_type(named, data), data: data.to_owned() })
}

const SCHEME: &str = "data:";

/// Whether a URL is a data URL.
pub(super) fn is_data(url: &str) -> bool {
    url.get(..SCHEME.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(SCHEME))
}

/// How data of some types begins in base64. Anthropic refuses an image whose bytes are of another type than the named
/// one, so the bytes decide.
const BEGINNINGS: [(&str, &str); 5] = [
    ("/9j/", "image/jpeg"),
    ("iVBORw0KGgo", "image/png"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", PDF),
];

/// The type of `data`: as its bytes say, else as it is named.
pub(super) fn media_type(named: &str, data: &str) -> String {
    let named = named.trim().to_ascii_lowercase();
    let is_readable = named.is_empty() || named.starts_with("image/") || named.starts_with("application/");
    let found = BEGINNINGS.iter().find(|(begin, _)| is_readable && data.starts_with(begin));
    match (found, named.as_str()) {
        (Some((_, media_type)), _) => (*media_type).to_owned(),
        (None, "image/jpg" | "image/pjpeg" | "image/jfif" | "image/x-jpeg") => "image/jpeg".to_owned(),
        (None, "image/x-png") => "image/png".to_owned(),
        (None, "application/x-pdf") => PDF.to_owned(),
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        assert!(is_data(url), "{url}");
        assert_eq!(parse(url).map(|data| data.media_type).as_deref(), expected, "{url}");
    }

    #[test]
    fn a_type_gets_the_spelling_that_providers_know() {
        check("data:image/png;base64,AAAA", Some("image/png"));
        check("data:image/jpg;base64,AAAA", Some("image/jpeg"));
        check("data:image/pjpeg;base64,AAAA", Some("image/jpeg"));
        check("DATA:IMAGE/PNG;BASE64,AAAA", Some("image/png"));
        check("data:image/jpeg;charset=utf-8;base64,AAAA", Some("image/jpeg"));
        check("data:image/webp; base64,AAAA", Some("image/webp"));
        check("data:image/tiff;base64,AAAA", Some("image/tiff"));
    }

    #[test]
    fn the_bytes_decide() {
        check("data:image/png;base64,/9j/4AAQ", Some("image/jpeg"));
        check("data:;base64,iVBORw0KGgoAAA", Some("image/png"));
        check("data:application/octet-stream;base64,JVBERi0xLjQ=", Some("application/pdf"));
        check("data:text/plain;base64,R0lGODk=", Some("text/plain"));
    }

    #[test]
    fn only_base64_is_read() {
        check("data:image/png,AAAA", None);
        check("data:image/png;base64", None);
        assert!(!is_data("https://a.example/data:") && !is_data("dat") && !is_data("dat\u{e4}:"));
    }
}
