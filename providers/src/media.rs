//! Checks the URLs of images, sounds and files in a request: providers fetch them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shared::model::catalog::MediaUrls;
use shared::model::object::Object;
use shared::model::provider::Failure;

use crate::conversation::unsupported;

/// Checks the URLs in the contents of messages, and in the parts of a moderation.
///
/// # Errors
/// `Unsupported` if the provider may not be sent one of them.
pub(crate) fn check(body: &Object, permitted: &MediaUrls) -> Result<(), Failure> {
    for (name, text) in body.members() {
        if name.eq_ignore_ascii_case("messages") {
            check_member(name, text, Urls { permitted, place: Place::Messages })?;
        } else if name.eq_ignore_ascii_case("input") {
            check_member(name, text, Urls { permitted, place: Place::Content })?;
        }
    }
    Ok(())
}

/// Checks the URLs in the messages of Anthropic's API, whose blocks also quote pages that nobody fetches again.
///
/// # Errors
/// `Unsupported` if the provider may not be sent one of them.
pub(crate) fn check_blocks(body: &Object, permitted: &MediaUrls) -> Result<(), Failure> {
    let mut messages = body.members().filter(|(name, _)| name.eq_ignore_ascii_case("messages"));
    messages.try_for_each(|(name, text)| check_member(name, text, Urls { permitted, place: Place::Turns }))
}

fn check_member(name: &str, text: &str, urls: Urls<'_>) -> Result<(), Failure> {
    urls.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        let reason = error.to_string();
        unsupported(name, reason.split(" at line ").next().unwrap_or_default())
    })
}

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the list of messages.
    Messages,
    /// In the list of messages of Anthropic's API.
    Turns,
    /// In a block of such a message.
    Block,
    /// In the content of a message, outside of URLs.
    Content,
    /// Behind a name such as `url` or `image_url`.
    Url,
}

/// Reads a value and checks the URLs in it.
#[derive(Clone, Copy)]
struct Urls<'a> {
    permitted: &'a MediaUrls,
    place: Place,
}

impl<'a> Urls<'a> {
    /// The place of the member `name`; `None` if it has no URLs that a provider fetches.
    fn of_member(self, name: &str) -> Option<Urls<'a>> {
        // Some servers read names without regard to capital letters.
        let is = |end: &str| {
            name.len() >= end.len() && name.as_bytes()[name.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
        };
        let place = match self.place {
            Place::Messages if is("content") => Place::Content,
            Place::Turns | Place::Block if is("content") => Place::Block,
            Place::Messages | Place::Turns => return None,
            // Arguments of tools, sources that an answer quoted, and the page of a search's result.
            Place::Block if matches!(name, "input" | "citations" | "annotations" | "url") => return None,
            Place::Block if is("url") => Place::Url,
            Place::Block => Place::Content,
            // Sources that an answer quoted.
            Place::Content | Place::Url if name == "annotations" => return None,
            Place::Content | Place::Url if is("url") => Place::Url,
            Place::Content | Place::Url => Place::Content,
        };
        Some(Urls { place, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Urls<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Urls<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.place != Place::Url || self.permitted.permit(text) {
            return Ok(());
        }
        let shown = &text[..text.floor_char_boundary(60)];
        let permitted = self.permitted.0.join("`, `");
        Err(E::custom(format_args!(
            "this provider is not sent the URL `{shown}`: it must begin with `{permitted}` (`media_urls` in the models file)"
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match self.of_member(&name) {
                Some(urls) => members.next_value_seed(urls)?,
                None => members.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(member: &str, expected: Option<&str>) {
        refused_by(check, member, expected);
    }

    #[track_caller]
    fn refused_by(check: fn(&Object, &MediaUrls) -> Result<(), Failure>, member: &str, expected: Option<&str>) {
        let body = Object::parse(format!("{{{member}}}").as_bytes()).unwrap();
        let permitted = MediaUrls(vec!["https://a.example/".to_owned(), "data:".to_owned()]);
        let refused = match check(&body, &permitted) {
            Err(Failure::Unsupported { what, .. }) => Some(what),
            other => other.map(|()| None).unwrap(),
        };
        let refusal = |url| {
            format!(
                "this provider is not sent the URL `{url}`: it must begin with `https://a.example/`, `data:` (`media_urls` in the models file)"
            )
        };
        assert_eq!(refused, expected.map(refusal), "{member}");
    }

    #[test]
    fn urls_in_contents_are_checked_whatever_their_form() {
        for (content, expected) in [
            (r#""file:///etc/passwd""#, None),
            (r#"[{"type":"text","text":"file:///etc/passwd"}]"#, None),
            (r#"[{"type":"image_url","image_url":{"url":"https://a.example/b.png","detail":"low"}}]"#, None),
            (r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]"#, None),
            (r#"[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]"#, Some("file:///etc/passwd")),
            (r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":"word"}]"#, Some("word")),
            (
                r#"[{"type":"image_url","image_url":{"url":"http:\/\/169.254.169.254"}}]"#,
                Some("http://169.254.169.254"),
            ),
            (r#"[{"type":"image_url","image\u005furl":{"URL":"http://b"}}]"#, Some("http://b")),
            (r#"[{"type":"video_url","video_url":{"url":["http://b"]}}]"#, Some("http://b")),
            (r#"[{"type":"text","text":"a","annotations":[{"url_citation":{"url":"http://b"}}]}]"#, None),
        ] {
            refused(&format!(r#""messages":[{{"role":"user","content":{content}}}]"#), expected);
        }
        refused(r#""messages":[{"role":"assistant","content":"a","annotations":[{"url":"http://b"}]}]"#, None);
        refused(r#""input":[{"type":"image_url","image_url":{"url":"http://b"}}]"#, Some("http://b"));
        refused(r#""input":["http://b"],"other":{"url":"http://b"}"#, None);
    }

    #[test]
    fn urls_in_sources_of_blocks_are_checked() {
        let image = |url: &str| format!(r#"{{"type":"image","source":{{"type":"url","url":"{url}"}}}}"#);
        let bad = image("http://b");
        for (content, expected) in [
            (r#""http://b""#.to_owned(), None),
            (format!("[{}]", image("https://a.example/b.png")), None),
            (format!("[{bad}]"), Some("http://b")),
            (format!(r#"[{{"type":"tool_result","content":[{bad}]}}]"#), Some("http://b")),
            (format!(r#"[{{"type":"document","source":{{"type":"content","content":[{bad}]}}}}]"#), Some("http://b")),
            (r#"[{"type":"image","image_url":"http://b"}]"#.to_owned(), Some("http://b")),
            (r#"[{"type":"tool_use","input":{"source":{"url":"http://b"}}}]"#.to_owned(), None),
            (r#"[{"type":"text","text":"a","citations":[{"url":"http://b"}]}]"#.to_owned(), None),
            (
                r#"[{"type":"web_search_tool_result","content":[{"type":"web_search_result","url":"http://b"}]}]"#
                    .to_owned(),
                None,
            ),
        ] {
            refused_by(check_blocks, &format!(r#""messages":[{{"role":"user","content":{content}}}]"#), expected);
        }
    }
}
