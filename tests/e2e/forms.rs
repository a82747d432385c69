//! Forms with files: what is malformed is refused in words, and the same call is the same call under any boundary.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kit::{FORM, FormPart, Reply, TestApp, form, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const MODEL: FormPart<'static> = ("model", None, b"transcription");
const FILE: FormPart<'static> = ("file", Some("a.mp3"), b"\xff\xfb sound");

async fn post(app: &TestApp, key: &str, content_type: &str, body: impl Into<Body>) -> Reply {
    send(&app.router(), "POST", TRANSCRIPTIONS, key, &[("content-type", content_type)], body.into()).await
}

fn text_of(parts: &[FormPart<'_>]) -> String {
    String::from_utf8_lossy(&form(parts)).into_owned()
}

/// A form with this part behind the others.
fn with(part: FormPart<'_>) -> Vec<u8> {
    form(&[MODEL, FILE, part])
}

#[tokio::test]
async fn a_malformed_form_is_refused_in_words_and_reaches_no_provider() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let whole = form(&[MODEL, FILE]);
    let cut = |at: usize| whole[..whole.len() - at].to_vec();
    let many: Vec<FormPart<'_>> = (0..257).map(|_| ("keywords[]", None, &b"a"[..])).collect();
    let (long_name, long_boundary) = ("n".repeat(1_025), format!("{FORM}{}", "x".repeat(70)));
    let head = "--kit-boundary\r\nContent-Disposition: form-data";
    for (content_type, body, param, reason) in [
        ("application/json", b"{}".to_vec(), None, "expected 'multipart/form-data', got 'application/json'"),
        ("", whole.clone(), None, "got no content type"),
        ("multipart/mixed; boundary=kit-boundary", whole.clone(), None, "got 'multipart/mixed'"),
        ("multipart/form-data", whole.clone(), None, "its content type has no 'boundary'"),
        ("multipart/form-data; boundary=\"\"", whole.clone(), None, "the parameters of its content type are malformed"),
        (&long_boundary, whole.clone(), None, "expected 1 to 70"),
        (
            "multipart/form-data; boundary=other",
            whole.clone(),
            None,
            "no whole part that begins with the boundary '--other'",
        ),
        (FORM, Vec::new(), None, "no whole part that begins with the boundary"),
        (FORM, b"{\"model\":\"transcription\"}".to_vec(), None, "no whole part that begins with the boundary"),
        (FORM, cut(4), None, "ends before its last boundary"),
        (FORM, cut(20), None, "ends before its last boundary"),
        (FORM, cut(whole.len() - 60), None, "no whole part that begins with the boundary"),
        (
            FORM,
            format!("{head}; name=\"a\"\r\n\r\nx\r\n--kit-boundaryX\r\n").into_bytes(),
            None,
            "something other than a line break",
        ),
        (
            FORM,
            format!("{head}; name=\"a\"\r\nno colon\r\n\r\nx").into_bytes(),
            None,
            "headers of a part are malformed",
        ),
        (FORM, format!("{head}\r\n\r\nx\r\n--kit-boundary--").into_bytes(), None, "part 1 has no name"),
        (
            FORM,
            b"--kit-boundary\r\n\r\nx\r\n--kit-boundary--".to_vec(),
            None,
            "no whole part that begins with the boundary",
        ),
        (FORM, form(&many), None, "more than 256 parts"),
        (FORM, with((&long_name, None, b"a")), None, "a name of more than 1024 bytes"),
        (FORM, b"--kit-boundary--\r\n".to_vec(), Some("file"), "Missing required parameter: 'file'."),
        (FORM, form(&[FILE]), Some("model"), "Missing required parameter: 'model'."),
        (FORM, form(&[MODEL]), Some("file"), "Missing required parameter: 'file'."),
        (FORM, form(&[("model", None, b""), FILE]), Some("model"), "must not be empty"),
        (FORM, form(&[MODEL, ("file", Some("a.mp3"), b"")]), Some("file"), "is empty"),
        (FORM, form(&[MODEL, ("file", None, b"a.mp3")]), Some("file"), "must be a file"),
        (FORM, with(FILE), Some("file"), "more than once"),
        (FORM, with(MODEL), Some("model"), "more than once"),
        (FORM, with(("prompt", None, b"\xff\xfe")), Some("prompt"), "not UTF-8"),
        (FORM, with(("prompt", None, &vec![b'a'; 2 * 1024 * 1024 + 1])), Some("prompt"), "more than 2097152 bytes"),
        (FORM, with(("prompt", Some("a.txt"), b"Hi")), Some("prompt"), "must be a text"),
        (FORM, with(("langauge", None, b"de")), Some("langauge"), "Did you mean 'language'?"),
        (FORM, with(("picture", Some("a.png"), b"a")), Some("picture"), "Unknown parameter"),
        (FORM, with(("temperature", None, b"warm")), Some("temperature"), "'warm' is not a number"),
        (FORM, with(("stream", None, b"1")), Some("stream"), "'1' is not true or false"),
        (FORM, with(("response_format", None, b"docx")), Some("response_format"), "unknown variant `docx`"),
    ] {
        let refused = post(&app, &key, content_type, body).await;
        let error = refused.json()["error"].clone();
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!((refused.status, &error["type"]), (400, &json!("invalid_request_error")), "{reason}: {error}");
        assert_eq!(error["param"], param.map_or(Value::Null, Value::from), "{error}");
        assert!(message.contains(reason), "expected \"{reason}\": {message}");
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn a_form_above_6_mb_and_one_that_never_ends_are_refused() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let large = form(&[MODEL, ("file", Some("a.wav"), &vec![7; 6 * 1024 * 1024])]);
    // As a stream, so that no length is declared.
    let pieces: Vec<_> =
        large.chunks(100_000).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    let refused = post(&app, &key, FORM, Body::from_stream(stream::iter(pieces))).await;
    assert_eq!((refused.status, &*refused.code()), (413, "request_too_large"), "{}", refused.text());
    tokio::time::pause();
    let begun = Bytes::from(text_of(&[MODEL]).replace("--\r\n", "\r\n"));
    let endless = stream::iter([Ok::<_, Infallible>(begun)]).chain(stream::pending());
    let begun = tokio::time::Instant::now();
    let refused = post(&app, &key, FORM, Body::from_stream(endless)).await;
    assert_eq!(refused.status, 408, "{}", refused.text());
    assert!(begun.elapsed() < Duration::from_secs(70), "{:?}", begun.elapsed());
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn no_byte_of_a_form_is_asked_for_before_the_key_is_known() {
    let app = TestApp::new().await;
    let body = Body::from_stream(stream::once(async { panic!("the body is read") as Result<Bytes, Infallible> }));
    let headers = [("content-type", FORM), ("expect", "100-continue")];
    let refused = send(&app.router(), "POST", TRANSCRIPTIONS, "sk-weir-wrong", &headers, body).await;
    assert_eq!((refused.status, &*refused.code()), (401, "invalid_api_key"), "{}", refused.text());
}

#[tokio::test]
async fn a_form_that_comes_byte_by_byte_is_the_same_form() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let sound: &[u8] = b"\r\n--kit-boundar\r\n-\r\n--kit-boundary";
    let sound = &sound[..sound.len() - 2];
    let body = form(&[("file", Some("a é.mp3"), sound), MODEL, ("language", None, "Gr\u{fc}\u{df}e".as_bytes())]);
    let pieces: Vec<_> = body.chunks(1).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    for body in [Body::from(body.clone()), Body::from_stream(stream::iter(pieces))] {
        let reply = post(&app, &key, FORM, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let calls = app.first.calls();
    for call in &calls {
        let uploads: Vec<_> = call.uploads.iter().collect();
        assert_eq!((uploads.len(), &uploads[0].bytes[..]), (1, sound));
        assert_eq!(call.body.get::<String>("language").as_deref(), Some("Gr\u{fc}\u{df}e"));
    }
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_repeated_key_means_the_fields_and_files_and_not_the_boundary() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy { cache_ttl_seconds: Some(60), ..Policy::default() }).await;
    let sent = async |boundary: &str, parts: &[FormPart<'_>], idempotency: &str| {
        let body = bytes_with(boundary, parts);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let headers = [("content-type", content_type.as_str()), ("idempotency-key", idempotency)];
        send(&app.router(), "POST", TRANSCRIPTIONS, &key, &headers, body).await
    };
    let first = sent("one", &[MODEL, FILE], "k-1").await;
    let again = sent("two", &[FILE, MODEL], "k-1").await;
    assert_eq!(
        (first.status, again.status, again.header("idempotent-replayed")),
        (200, 200, "true"),
        "{}",
        again.text()
    );
    assert_eq!(first.body, again.body);
    for other in [
        [MODEL, ("file", Some("a.mp3"), &b"other sound"[..])],
        [MODEL, ("file", Some("b.mp3"), FILE.2)],
        [("model", None, b"transcription"), ("file", Some("a.mp3"), b"")],
    ] {
        let refused = sent("one", &other, "k-1").await;
        assert_eq!(refused.status, if other[1].2.is_empty() { 400 } else { 422 }, "{}", refused.text());
    }
    let cached = sent("three", &[MODEL, FILE], "k-2").await;
    assert_eq!((cached.header("x-weir-cache"), &cached.body), ("hit", &first.body));
    let missed = sent("three", &[MODEL, ("file", Some("a.mp3"), b"another")], "k-3").await;
    assert_eq!(missed.header("x-weir-cache"), "miss");
    assert_eq!(app.first.call_count(), 2);
}

/// A form with another boundary.
fn bytes_with(boundary: &str, parts: &[FormPart<'_>]) -> Vec<u8> {
    let latin = form(parts).iter().map(|byte| char::from(*byte)).collect::<String>();
    latin.replace("kit-boundary", boundary).chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}
