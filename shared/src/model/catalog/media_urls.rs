//! The URLs of images, sounds and files that a provider may be sent.

use std::net::IpAddr;

/// Texts with which such a URL may begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaUrls(pub Vec<String>);

impl MediaUrls {
    /// What applies without a setting: data, and what is fetched from elsewhere over https. A provider on this machine or in
    /// a private network would fetch from there for any caller, so it gets data only.
    #[must_use]
    pub fn default_of(base_url: Option<&str>) -> Self {
        let fetched = if base_url.is_some_and(is_private) { None } else { Some("https://") };
        Self(fetched.into_iter().chain(["data:"]).map(str::to_owned).collect())
    }

    /// Whether a text can be one of the prefixes. A host ends with a slash: without it, the prefix would fit a longer host.
    #[must_use]
    pub fn is_prefix(text: &str) -> bool {
        if text == "data:" {
            return true;
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|rest| rest.is_empty() || rest.find('/').is_some_and(|at| at > 0 && !rest[..at].contains('@')))
    }

    /// Whether a URL begins with one of the prefixes, in capital letters or not.
    #[must_use]
    pub fn permit(&self, url: &str) -> bool {
        self.0.iter().any(|prefix| url.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)))
    }
}

/// Whether a base URL names this machine or an address that is not public. A name is not looked up.
fn is_private(base_url: &str) -> bool {
    let authority = base_url.split_once("://").map_or(base_url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => !host.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_in_a_private_network_is_sent_data_only() {
        for public in
            [None, Some("https://api.openai.com/v1"), Some("https://8.8.8.8/v1"), Some("http://a.internal:80/v1")]
        {
            assert_eq!(MediaUrls::default_of(public).0, ["https://", "data:"], "{public:?}");
        }
        for private in ["http://localhost:11434/v1", "http://10.0.0.7/v1", "http://[::1]:80/v1", "http://vllm:8000/v1"]
        {
            assert_eq!(MediaUrls::default_of(Some(private)).0, ["data:"], "{private}");
        }
    }

    #[test]
    fn a_prefix_is_a_scheme_or_a_whole_host() {
        for right in ["data:", "https://", "http://", "https://images.example.com/", "https://example.com:8443/a/b"] {
            assert!(MediaUrls::is_prefix(right), "{right}");
        }
        for wrong in
            ["", "https:", "https:///", "file://", "https://example.com", "https://a@example.com/", "example.com/"]
        {
            assert!(!MediaUrls::is_prefix(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_url_begins_with_a_prefix() {
        let urls = MediaUrls(vec!["https://a.example/".to_owned(), "data:".to_owned()]);
        for (url, is_permitted) in [
            ("https://a.example/x.png", true),
            ("HTTPS://A.example/x.png", true),
            ("data:image/png;base64,AA==", true),
            ("https://a.example.evil/x.png", false),
            ("http://a.example/x.png", false),
            ("file:///etc/passwd", false),
            ("word", false),
            ("", false),
            ("dat\u{e4}:", false),
        ] {
            assert_eq!(urls.permit(url), is_permitted, "{url}");
        }
    }
}
