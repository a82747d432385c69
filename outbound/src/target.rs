//! The URLs of receivers: their form, and hosts that are written as addresses.

use std::net::IpAddr;

use reqwest::Url;
use shared::model::webhook::RefusedUrl;

use crate::address::is_allowed;

const MAX_URL_BYTES: usize = 2_048;

/// Characters that RFC 3986 allows in no URL. Parsers drop, replace or escape them, each in its own way.
const NEVER_IN_URLS: [char; 9] = ['"', '<', '>', '\\', '^', '`', '{', '|', '}'];

/// A checked URL. The addresses of its host's name are not checked yet.
pub(crate) struct Target(Url);

impl Target {
    /// Reads and checks a URL.
    ///
    /// # Errors
    /// `RefusedUrl` with the reason, in words for the owner of the URL.
    pub(crate) fn parse(text: &str, permit_loopback: bool) -> Result<Self, RefusedUrl> {
        let wrong = |message: &str| Err(RefusedUrl(message.to_owned()));
        if text.len() > MAX_URL_BYTES {
            return Err(RefusedUrl(format!("`url` has {} bytes, expected at most {MAX_URL_BYTES}.", text.len())));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("`url` contains spaces or control characters; escape them.");
        }
        if let Some(found) = text.chars().find(|c| NEVER_IN_URLS.contains(c)) {
            return Err(RefusedUrl(format!("`url` contains `{found}`, which no URL may; escape it.")));
        }
        if !text.is_ascii() {
            return wrong(
                "`url` contains characters beyond ASCII; escape them, and write the host's name in Punycode.",
            );
        }
        let url = Url::parse(text).map_err(|error| RefusedUrl(format!("`url` is no absolute URL: {error}.")))?;
        match url.scheme() {
            "https" => {}
            "http" if permit_loopback => {}
            other => return Err(RefusedUrl(format!("`url` begins with `{other}:`, expected `https:`."))),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("`url` contains a user name or password; deliveries are signed instead.");
        }
        if url.fragment().is_some() {
            return wrong("`url` has a fragment (`#...`), which is not sent to servers; leave it out.");
        }
        let target = Self(url);
        match target.literal() {
            Some(address) if !is_allowed(address, permit_loopback) => {
                Err(RefusedUrl(format!("`url` points to {address}; events are sent to public addresses only.")))
            }
            _ => target.written_as(text),
        }
    }

    /// Refuses a URL whose host is written in another way than it is called. A reader of the URL must see where events
    /// go.
    fn written_as(self, text: &str) -> Result<Self, RefusedUrl> {
        let origin = format!("{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default());
        let written = text.get(..origin.len()).unwrap_or(text);
        if written.eq_ignore_ascii_case(&origin) {
            return Ok(self);
        }
        Err(RefusedUrl(format!("`url` begins with another way to write `{origin}`; begin it with that.")))
    }

    /// The host if it is written as an address. The parser also reads decimal, octal and hexadecimal forms.
    fn literal(&self) -> Option<IpAddr> {
        let host = self.0.host_str()?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The host if it is a name.
    pub(crate) fn name(&self) -> Option<&str> {
        if self.literal().is_some() { None } else { self.0.host_str() }
    }

    pub(crate) fn into_url(self) -> Url {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, permit_loopback: bool) -> Option<String> {
        Target::parse(url, permit_loopback).err().map(|refused| refused.0)
    }

    #[test]
    fn https_urls_of_names_and_public_addresses_pass() {
        for url in [
            "https://example.com/hook?token=1",
            "https://example.com:8443",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]:444/",
            "HTTPS://EXAMPLE.com",
        ] {
            assert_eq!(refusal(url, false), None, "{url}");
        }
    }

    #[test]
    fn refusals_name_the_error_of_a_url() {
        for (url, reason) in [
            ("", "no absolute URL"),
            ("example.com/hook", "no absolute URL"),
            ("https://", "no absolute URL"),
            ("http://example.com/", "begins with `http:`"),
            ("ftp://example.com/", "begins with `ftp:`"),
            ("file:///etc/passwd", "begins with `file:`"),
            ("https://user@example.com/", "user name or password"),
            ("https://:secret@example.com/", "user name or password"),
            ("https://example.com/#part", "fragment"),
            ("https://exam\nple.com/", "control characters"),
            (" https://example.com/", "spaces"),
            ("https:\\\\example.com/", "contains `\\`"),
            ("https://example.com/<id>", "contains `<`"),
            ("https://\u{ff11}27.0.0.1/", "beyond ASCII"),
            ("https://\u{feff}8.8.8.8/", "beyond ASCII"),
            ("https://example.com:99999/", "no absolute URL"),
            ("https:example.com/", "begin it with that"),
            ("https:///example.com/", "begin it with that"),
            ("https://@example.com/", "begin it with that"),
            ("https://ex%61mple.com/", "another way to write `https://example.com`"),
            ("https://8.8.8/", "another way to write `https://8.8.0.8`"),
            ("https://[2606:4700:0::1111]/", "another way to write `https://[2606:4700::1111]`"),
        ] {
            let found = refusal(url, false).unwrap_or_default();
            assert!(found.contains(reason), "{url}: {found}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert!(refusal(&long, false).unwrap().contains("expected at most 2048"));
    }

    #[test]
    fn addresses_are_seen_through_every_notation() {
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.0.1./",
            "https://%31%32%37.0.0.1/",
            "https://0/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[fd00:ec2::254]/",
            "https://10.0.0.1:8443/",
        ] {
            let found = refusal(url, false).unwrap_or_default();
            assert!(found.contains("public addresses only"), "{url}: {found}");
        }
    }

    #[test]
    fn a_developers_machine_may_send_to_itself() {
        for url in ["http://127.0.0.1:8000/hook", "https://127.0.0.1/", "http://[::1]/", "http://localhost:3000"] {
            assert_eq!(refusal(url, true), None, "{url}");
        }
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "ftp://127.0.0.1/"] {
            assert!(refusal(url, true).is_some(), "{url}");
        }
    }
}
