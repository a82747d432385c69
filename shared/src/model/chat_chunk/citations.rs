//! Citations of pages, which a chat provider sends with its text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::object::Object;

/// The `annotations` of a delta or a message. A value of another shape is none: it must not cost the text.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Annotations(Option<Box<RawValue>>);

/// A citation as chat completions have it; some servers write its members beside the type.
#[derive(Deserialize)]
struct Annotation {
    r#type: String,
    #[serde(default)]
    url_citation: Option<Citation>,
}

#[derive(Deserialize)]
struct Citation {
    url: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    start_index: Option<u64>,
    #[serde(default)]
    end_index: Option<u64>,
}

impl Annotations {
    /// The citations in the shape of responses.
    #[must_use]
    pub fn citations(&self) -> Vec<Object> {
        let list = self.0.as_deref().and_then(|list| serde_json::from_str::<Vec<Box<RawValue>>>(list.get()).ok());
        list.unwrap_or_default().iter().filter_map(|annotation| citation(annotation)).collect()
    }
}

fn citation(annotation: &RawValue) -> Option<Object> {
    let read: Annotation =
        serde_json::from_str(annotation.get()).ok().filter(|read: &Annotation| read.r#type == "url_citation")?;
    let cited = match read.url_citation {
        Some(nested) => nested,
        None => serde_json::from_str(annotation.get()).ok()?,
    };
    let head = Object::default().with("type", "url_citation");
    let place =
        head.with("start_index", &cited.start_index.unwrap_or(0)).with("end_index", &cited.end_index.unwrap_or(0));
    Some(place.with("url", &cited.url).with("title", &cited.title.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_get_the_shape_of_responses() {
        let full = r#"{"type":"url_citation","start_index":3,"end_index":9,"url":"https://a.example","title":"A"}"#;
        let bare = r#"{"type":"url_citation","start_index":0,"end_index":0,"url":"https://a.example","title":""}"#;
        for (annotations, expected) in [
            (
                r#"[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":3,"end_index":9,"content":"x"}}]"#,
                full,
            ),
            (r#"[{"type":"url_citation","url":"https://a.example","title":"A","start_index":3,"end_index":9}]"#, full),
            (
                r#"[{"type":"url_citation","url_citation":{"url":"https://a.example","title":null}},{"type":"other"},7]"#,
                bare,
            ),
            (r#"[{"type":"file_citation","file_id":"f"}]"#, ""),
            (r#"[{"type":"url_citation","url_citation":{"url":5}}]"#, ""),
            (r#"{"a":1}"#, ""),
            ("null", ""),
        ] {
            let read: Annotations = serde_json::from_str(annotations).unwrap();
            let found: Vec<_> =
                read.citations().iter().map(|one| String::from_utf8_lossy(&one.to_bytes()).into_owned()).collect();
            assert_eq!(found.concat(), expected, "{annotations}");
        }
    }
}
