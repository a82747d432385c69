//! Writes a call as `multipart/form-data`.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;
use shared::model::form::{Upload, Uploads};
use shared::model::id::Fingerprint;
use shared::model::object::Object;

/// The content type, which names the boundary, and the body.
pub(super) struct Written {
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// Writes the members of a call as texts, and its files behind them.
///
/// The boundary is a hash of all that is written. So the same call is the same bytes, and no client can write a file that contains
/// the boundary, which would add fields to the call.
pub(super) fn write(members: &Object, uploads: &Uploads) -> Written {
    let texts = members.members().flat_map(|(name, json)| texts(name, json)).collect::<Vec<_>>();
    let of_texts = texts.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    let boundary = format!("weir-{}", Fingerprint::of(of_texts.chain(uploads.parts())).as_str());
    let mut body = BytesMut::with_capacity(uploads.bytes() + 4_096);
    for (name, text) in &texts {
        put_head(&mut body, &boundary, &format!("name=\"{}\"", quoted(name)), None);
        put_content(&mut body, text.as_bytes());
    }
    for Upload { field, name, content_type, bytes } in uploads.iter() {
        let several = uploads.iter().filter(|other| other.field == *field).count() > 1;
        let brackets = if several { "[]" } else { "" };
        let names = format!("name=\"{}{brackets}\"; filename=\"{}\"", quoted(field), quoted(name));
        put_head(&mut body, &boundary, &names, Some(content_type.as_deref().unwrap_or("application/octet-stream")));
        put_content(&mut body, bytes);
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    Written { content_type: format!("multipart/form-data; boundary={boundary}"), body: body.freeze() }
}

fn put_head(body: &mut BytesMut, boundary: &str, names: &str, content_type: Option<&str>) {
    body.put_slice(format!("--{boundary}\r\ncontent-disposition: form-data; {names}\r\n").as_bytes());
    if let Some(content_type) = content_type {
        body.put_slice(format!("content-type: {}\r\n", content_type.replace(['\r', '\n'], " ")).as_bytes());
    }
    body.put_slice(b"\r\n");
}

fn put_content(body: &mut BytesMut, content: &[u8]) {
    body.put_slice(content);
    body.put_slice(b"\r\n");
}

/// A name without the characters that would end it, as browsers escape them.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// A member as the fields of a form: one for each element of a list or member of an object. `null` is absent.
fn texts(name: &str, json: &str) -> Vec<(String, String)> {
    match serde_json::from_str(json) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::String(text)) => vec![(name.to_owned(), text)],
        Ok(Value::Array(list)) => list.iter().map(|element| (format!("{name}[]"), text(element))).collect(),
        Ok(Value::Object(members)) => {
            members.iter().map(|(inner, value)| (format!("{name}[{inner}]"), text(value))).collect()
        }
        // A number keeps its digits.
        _ => vec![(name.to_owned(), json.to_owned())],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(field: &str, name: &str, bytes: &'static [u8]) -> Upload {
        let content_type = Some("audio/wav".to_owned());
        Upload { field: field.to_owned(), name: name.to_owned(), content_type, bytes: Bytes::from_static(bytes) }
    }

    fn written(json: &str, uploads: Vec<Upload>) -> (String, String) {
        let Written { content_type, body } = write(&Object::parse(json.as_bytes()).unwrap(), &uploads.into());
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
        assert!(boundary.len() <= 70, "{boundary}");
        let text = String::from_utf8(body.to_vec()).unwrap();
        (text.replace(&boundary, "B").replace("\r\n", "\n"), boundary)
    }

    #[test]
    fn members_become_fields_and_files_follow() {
        let json = r#"{"model":"m","temperature":0.50,"stream":false,"language":null,"include":["a","b"],"strategy":{"type":"t","x":1}}"#;
        let (text, _) = written(
            json,
            vec![upload("image", "a.png", b"1"), upload("image", "b.png", b"2"), upload("mask", "m", b"3")],
        );
        let field =
            |name: &str, text: &str| format!("--B\ncontent-disposition: form-data; name=\"{name}\"\n\n{text}\n");
        let texts = [
            ("model", "m"),
            ("temperature", "0.50"),
            ("stream", "false"),
            ("include[]", "a"),
            ("include[]", "b"),
            ("strategy[type]", "t"),
            ("strategy[x]", "1"),
        ];
        let expected: String = texts.iter().map(|(name, text)| field(name, text)).collect();
        let files =
            [("image[]", "a.png", "1"), ("image[]", "b.png", "2"), ("mask", "m", "3")].map(|(field, name, bytes)| {
                let names = format!("name=\"{field}\"; filename=\"{name}\"");
                format!("--B\ncontent-disposition: form-data; {names}\ncontent-type: audio/wav\n\n{bytes}\n")
            });
        assert_eq!(text, expected + &files.concat() + "--B--\n");
    }

    #[test]
    fn the_same_call_has_the_same_boundary_and_no_other_has() {
        let of = |json: &str, name: &str, bytes: &'static [u8]| written(json, vec![upload("file", name, bytes)]).1;
        let first = of(r#"{"model":"m"}"#, "a", b"1");
        assert_eq!(first, of(r#"{ "model" : "m" }"#, "a", b"1"));
        for other in
            [of(r#"{"model":"n"}"#, "a", b"1"), of(r#"{"model":"m"}"#, "b", b"1"), of(r#"{"model":"m"}"#, "a", b"2")]
        {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_name_cannot_add_a_field() {
        let name = "a\"; x=\"\r\ncontent-type: text/html\r\n\r\n";
        let (text, _) = written("{}", vec![upload("file", name, b"1")]);
        assert!(text.contains("filename=\"a%22; x=%22%0D%0Acontent-type: text/html%0D%0A%0D%0A\""), "{text}");
    }
}
