//! Forms that are almost right, on every route that takes one.

use kit::{FORM, FormPart, form, mutated_text};
use proptest::sample::select;
use serde_json::{Value, json};

use super::requests::{FuzzedApi, check};

const EDIT: &[FormPart<'_>] = &[
    ("model", None, b"image"),
    ("prompt", None, b"A cat"),
    ("n", None, b"2"),
    ("stream", None, b"false"),
    ("image[]", Some("a.png"), b"\r\n--kit\r\n"),
    ("image[]", Some("b.png"), b"bytes"),
    ("mask", Some("m.png"), b"bytes"),
];
const TRANSCRIPTION: &[FormPart<'_>] = &[
    ("model", None, b"transcription"),
    ("temperature", None, b"0.5"),
    ("response_format", None, b"verbose_json"),
    ("timestamp_granularities[]", None, b"word"),
    ("chunking_strategy[type]", None, b"server_vad"),
    ("file", Some("a.wav"), b"RIFF\x10\x00\x00\x00WAVEfmt \x10\x00\x00\x00"),
];
const ROUTES: [(&str, &[FormPart<'_>]); 3] = [
    ("/v1/images/edits", EDIT),
    ("/v1/audio/transcriptions", TRANSCRIPTION),
    ("/v1/audio/translations", TRANSCRIPTION),
];

fn request(path: &str) -> Value {
    json!({"method": "POST", "path": path})
}

fn corpus() -> Vec<String> {
    ROUTES.iter().map(|(_, parts)| String::from_utf8(form(parts)).unwrap()).collect()
}

#[test]
fn every_form_gets_an_answer() {
    let api = FuzzedApi::new();
    let any = (select(&ROUTES[..]), mutated_text(corpus()));
    let tried = super::runner("e2e/fuzz/corpus/forms.txt").run(&any, |((path, _), body)| {
        let request = request(path);
        check(&request, &api.send_with(&request, &[("content-type", FORM)], body.0))
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn every_content_type_gets_an_answer() {
    let api = FuzzedApi::new();
    let any =
        (select(&ROUTES[..]), mutated_text(vec![FORM.to_owned(), "multipart/form-data; boundary=\"\"".to_owned()]));
    let tried = super::runner("e2e/fuzz/corpus/forms.txt").run(&any, |((path, parts), content_type)| {
        let content_type = String::from_utf8_lossy(&content_type.0).replace(|c: char| !(' '..='~').contains(&c), "");
        let request = request(path);
        check(&request, &api.send_with(&request, &[("content-type", &content_type)], form(parts)))
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}
