//! What real providers are sent for a file, whatever the API of the client.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use shared::app::ServedModels;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::secret::Secret;

use super::*;

/// A kind of provider, its settings, and its recorded answer.
struct Wire {
    settings: &'static str,
    /// What it is sent for a PDF, an image and a text.
    parts: fn() -> Value,
    /// The place of the parts in the request.
    place: &'static str,
    reply: &'static str,
    stream: &'static str,
}

macro_rules! fixtures {
    ($folder:literal, $settings:literal, $place:literal, $parts:expr) => {
        Wire {
            settings: $settings,
            parts: $parts,
            place: $place,
            reply: include_str!(concat!("../../../providers/tests/fixtures/", $folder, "/reply.json")),
            stream: include_str!(concat!("../../../providers/tests/fixtures/", $folder, "/stream.sse")),
        }
    };
}

fn url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

fn wires() -> [Wire; 4] {
    [
        fixtures!("openai", "kind = \"openai\"", "/messages/0/content", || json!([
            {"type": "file", "file": {"filename": "report.pdf", "file_data": url("application/pdf", PDF_DATA)}},
            {"type": "image_url", "image_url": {"url": url("image/png", PNG_DATA)}},
            {"type": "file", "file": {"filename": "notes.md", "file_data": url("text/markdown", TEXT_DATA)}},
        ])),
        fixtures!("responses", "kind = \"openai\"\nresponses = \"native\"", "/input/0/content", || json!([
            {"type": "input_file", "filename": "report.pdf", "file_data": url("application/pdf", PDF_DATA)},
            {"type": "input_image", "detail": "auto", "image_url": url("image/png", PNG_DATA)},
            {"type": "input_file", "filename": "notes.md", "file_data": url("text/markdown", TEXT_DATA)},
        ])),
        fixtures!("anthropic", "kind = \"anthropic\"", "/messages/0/content", || json!([
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA}, "title": "report.pdf"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# Grüße"}, "title": "notes.md"},
        ])),
        fixtures!("gemini", "kind = \"gemini\"", "/contents/0/parts", || json!([
            {"inlineData": {"mimeType": "application/pdf", "data": PDF_DATA}},
            {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}},
            {"inlineData": {"mimeType": "text/plain", "data": TEXT_DATA}},
        ])),
    ]
}

#[derive(Clone)]
struct Upstream {
    reply: &'static str,
    stream: &'static str,
    got: Arc<Mutex<Vec<Value>>>,
}

async fn answer(State(upstream): State<Upstream>, OriginalUri(uri): OriginalUri, body: Bytes) -> impl IntoResponse {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let is_stream = request["stream"] == true || uri.path().contains("stream");
    upstream.got.lock().unwrap().push(request);
    let mut reply: Value = serde_json::from_str(upstream.reply).unwrap();
    if let Some(output) = reply["output"].as_array_mut() {
        // Messages have no such tools.
        output.retain(|item| item["type"] != "custom_tool_call");
    }
    let (kind, text) = if is_stream {
        ("text/event-stream", upstream.stream.to_owned())
    } else {
        ("application/json", reply.to_string())
    };
    (StatusCode::OK, [(CONTENT_TYPE, kind)], text)
}

/// A site whose model `priced` is at such a provider, and what the provider got.
async fn site(wire: &Wire) -> (Site, Arc<Mutex<Vec<Value>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = Upstream { reply: wire.reply, stream: wire.stream, got: Arc::default() };
    let router = Router::new().fallback(answer).with_state(upstream.clone());
    #[expect(clippy::disallowed_methods, reason = "the provider is another process")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let text = format!(
        "[[provider]]\nname = \"p\"\nbase_url = \"http://{address}/v1\"\n{}\n[[model]]\nname = \"priced\"\nkind = \"chat\"\n\
         price = {{ input = 1.0, output = 2.0 }}\ncontext_tokens = 128000\nmax_output_tokens = 4096\n\
         targets = [{{ provider = \"p\", model = \"theirs\" }}]\n",
        wire.settings
    );
    let catalog = Catalog::parse(&text).unwrap();
    let make = providers::connect(Arc::new(FixedKey(Secret::new("k"))), &Clock::system());
    let providers = ServedModels::connect(catalog.clone(), &make, None).providers;
    let app = TestApp::builder().models(Arc::new(catalog)).providers(providers).build().await;
    (Site::of(app).await, upstream.got)
}

/// The calls of all dialects that name a PDF, an image and a text.
async fn calls(site: &Site) -> [(&'static str, Value); 3] {
    let (pdf, png, text) = (site.upload(PDF).await, site.upload(PNG).await, site.upload(TEXT).await);
    let file = |id: &str| json!({"type": "file", "file": {"file_id": id}});
    let input = |kind: &str, id: &str| json!({"type": kind, "file_id": id});
    let block = |kind: &str, id: &str| json!({"type": kind, "source": {"type": "file", "file_id": id}});
    [
        (CHAT, chat(json!([file(&pdf), file(&png), file(&text)]))),
        (
            RESPONSES,
            response(json!([input("input_file", &pdf), input("input_image", &png), input("input_file", &text)])),
        ),
        (MESSAGES, chat(json!([block("document", &pdf), block("image", &png), block("document", &text)]))),
    ]
}

#[tokio::test]
async fn each_provider_gets_files_in_its_own_words_from_each_client() {
    for wire in wires() {
        let (site, got) = site(&wire).await;
        for (path, call) in calls(&site).await {
            let reply = site.post(path, &call).await;
            assert_eq!(reply.status, 200, "{path} to {}: {}", wire.settings, reply.text());
            let sent = got.lock().unwrap().pop().unwrap();
            let (mut parts, mut expected) = (sent.pointer(wire.place).unwrap().clone(), (wire.parts)());
            if path == MESSAGES && !wire.settings.contains("anthropic") {
                // A document of text has no file in other APIs: its title and its text follow each other.
                parts.as_array_mut().unwrap().truncate(2);
                expected.as_array_mut().unwrap().truncate(2);
                assert!(sent.to_string().contains("notes.md") && sent.to_string().contains("# Grüße"), "{sent}");
            }
            assert_eq!(parts, expected, "{path} to {}", wire.settings);
            assert_eq!(site.books().await.1, 0, "{path}: nothing is held");
        }
    }
}

#[tokio::test]
async fn a_type_that_a_provider_does_not_read_is_refused_with_those_that_it_reads() {
    for (wire, name) in [(&wires()[2], "Anthropic"), (&wires()[3], "Gemini")] {
        let (site, got) = site(wire).await;
        let zip = site.upload(ZIP).await;
        let calls = [
            (CHAT, chat(json!([{"type": "file", "file": {"file_id": zip}}]))),
            (RESPONSES, response(json!([{"type": "input_file", "file_id": zip}]))),
        ];
        for (path, call) in calls {
            let reply = site.post(path, &call).await;
            assert_eq!((reply.status, &*reply.code()), (400, "unsupported_by_provider"), "{}", reply.text());
            let says = format!(
                "{name} cannot read the file `all.zip` of the type `application/zip`: it takes PDF and text only"
            );
            assert!(reply.text().contains(&says), "{}", reply.text());
        }
        assert!(got.lock().unwrap().is_empty());
        assert_eq!(site.books().await, (0, 0));
    }
}
