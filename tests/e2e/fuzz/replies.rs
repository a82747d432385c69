//! What providers answer, whole and streamed: the caller gets an answer or an error, in the right form to its end, and the
//! hold is settled within the budget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use kit::{FuzzedBytes, Reply, TestApp, mutated_json, mutated_text, send};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::app::{Components, ServedModels};
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::project::{Policy, Project};
use shared::model::secret::Secret;
use tokio::runtime::Runtime;

use crate::budget;

/// A provider that answers what it is told, in pieces of some bytes.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<(Vec<u8>, usize)>>);

async fn play(State(played): State<Played>) -> Response {
    let (answer, size) = played.0.lock().unwrap().clone();
    let kind = if answer.starts_with(b"{") { "application/json" } else { "text/event-stream" };
    let pieces: Vec<_> =
        answer.chunks(size).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    ([(CONTENT_TYPE, kind)], Body::from_stream(stream::iter(pieces))).into_response()
}

/// The kinds of providers that are asked by HTTP. `responses` is of the kind `openai` and gets requests of the Responses API.
const KINDS: [&str; 4] = ["openai", "anthropic", "gemini", "responses"];

/// A catalog with the models of a provider of each kind at the address.
fn catalog(address: &str) -> Catalog {
    let provider = |name: &str| {
        let options = if name == "responses" {
            "kind = \"openai\"\nresponses = \"native\""
        } else {
            &format!("kind = \"{name}\"")
        };
        format!(
            "[[provider]]\nname = \"{name}\"\n{options}\nbase_url = \"http://{address}/v1\"\napi_key_env = \"KEY\"\n\
             [[model]]\nname = \"{name}\"\nkind = \"chat\"\nprice = {{ input = 1.0, output = 2.0 }}\n\
             context_tokens = 128000\nmax_output_tokens = 4096\ntargets = [{{ provider = \"{name}\", model = \"theirs\" }}]\n"
        )
    };
    Catalog::parse(&KINDS.map(provider).concat()).unwrap()
}

struct FuzzedProvider {
    runtime: Runtime,
    app: TestApp,
    instance: Components,
    played: Played,
    project: Project,
    key: String,
}

const BUDGET: f64 = 1_000.0;

impl FuzzedProvider {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let played = Played::default();
        let (app, project, key) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().fallback(play).with_state(played.clone());
            #[expect(clippy::disallowed_methods, reason = "the provider is another process")]
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            let (catalog, clock) = (Arc::new(catalog(&address.to_string())), Clock::system());
            let make = providers::connect(Arc::new(FixedKey(Secret::new("k"))), &clock);
            let providers = ServedModels::connect((*catalog).clone(), &make, None).providers;
            let app = TestApp::builder().clock(clock).models(catalog).providers(providers).build().await;
            let (project, key) = app.project(budget(BUDGET), Policy::default()).await;
            (app, project, key)
        });
        let instance = app.instance();
        Self { runtime, app, instance, played, project, key }
    }

    /// Calls the model of a provider that answers so, and checks what comes of it.
    fn check(
        &self,
        path: &str,
        model: &str,
        is_stream: bool,
        answer: &FuzzedBytes,
        size: usize,
    ) -> Result<(), TestCaseError> {
        *self.played.0.lock().unwrap() = (answer.0.clone(), size);
        let text = "Hello";
        let body = if path == "/v1/responses" {
            json!({"model": model, "stream": is_stream, "input": text, "max_output_tokens": 100})
        } else {
            json!({"model": model, "stream": is_stream, "messages": [{"role": "user", "content": text}], "max_tokens": 100})
        };
        let router = kit::router_of(&self.instance);
        let (reply, (spent, held)) = self.runtime.block_on(async {
            let reply = send(&router, "POST", path, &self.key, &[], body.to_string()).await;
            (reply, self.app.books(&self.project).await)
        });
        prop_assert_eq!(held, 0);
        prop_assert!(spent <= (BUDGET * 1e6) as u64, "spent {}", spent);
        let read = if path == "/v1/responses" { parse_text } else { parse };
        if is_stream && reply.status == 200 { check_stream(&reply, read) } else { check_whole(&reply, read) }
    }
}

type Parse = fn(&str) -> serde_json::Result<Value>;

/// Reads JSON of whole characters, as responses have it.
fn parse_text(json: &str) -> serde_json::Result<Value> {
    serde_json::from_str(json)
}

/// Reads JSON as Python and JavaScript do: they take half of a surrogate pair and a number beyond all doubles, which `serde_json`
/// refuses. A chat call passes both on: the next chunk may have the other half, and numbers are not read.
fn parse(json: &str) -> serde_json::Result<Value> {
    let mut read = json.to_owned();
    for (at, _) in json.match_indices("\\u") {
        let is_half = |digits: &str| matches!(u16::from_str_radix(digits, 16), Ok(0xd800..=0xdfff));
        if json.get(at + 2..at + 6).is_some_and(is_half) {
            read.replace_range(at + 2..at + 6, "fffd");
        }
    }
    match serde_json::from_str(&read) {
        Err(error) if error.to_string().starts_with("number out of range") => {
            serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&read).map(|_| json!({}))
        }
        read => read,
    }
}

fn check_whole(reply: &Reply, parse: Parse) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(&reply.body);
    let body = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
    prop_assert!([200, 502, 503, 504].contains(&reply.status), "{} {text}", reply.status);
    prop_assert!(reply.status == 200 || body["error"]["message"].is_string(), "{text}");
    Ok(())
}

/// Events of JSON; the last says that it is the last, or what went wrong.
fn check_stream(reply: &Reply, parse: Parse) -> Result<(), TestCaseError> {
    let text = std::str::from_utf8(&reply.body).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(text.ends_with("\n\n"), "{text}");
    let data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (last, before) = data.split_last().ok_or_else(|| TestCaseError::fail("no event"))?;
    for event in before {
        prop_assert!(parse(event).is_ok_and(|event| event.is_object()), "{event}");
    }
    let last_event = parse(last).unwrap_or_default();
    let of_responses = ["response.completed", "response.incomplete", "response.failed", "error"];
    let ends = *last == "[DONE]"
        || last_event["error"]["message"].is_string()
        || last_event["type"].as_str().is_some_and(|kind| of_responses.contains(&kind));
    prop_assert!(ends, "{text}");
    Ok(())
}

/// What cannot be read is asked for again, after a while of the system's clock.
const REPEATED: u32 = 4;

const PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/responses"];

#[test]
fn every_whole_answer_of_a_provider_is_passed_on_or_is_an_error() {
    let fuzzed = FuzzedProvider::new();
    for kind in KINDS {
        let corpus: Vec<Value> = super::files(&format!("providers/tests/fixtures/{kind}"), "json")
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .filter(|reply: &Value| reply.get("usage").or(reply.get("usageMetadata")).is_some())
            .collect();
        let texts = corpus.iter().map(Value::to_string).collect();
        let json = mutated_json(corpus).prop_map(|reply| FuzzedBytes(reply.to_string().into_bytes()));
        let answers = prop_oneof![3 => json, 1 => mutated_text(texts)];
        let cases = (answers, proptest::sample::select(&PATHS[..]));
        let tried = super::runner_for_slow("e2e/fuzz/corpus/replies.txt", REPEATED)
            .run(&cases, |(answer, path)| fuzzed.check(path, kind, false, &answer, 4_096));
        tried.unwrap_or_else(|failed| panic!("{kind}: {failed}"));
    }
}

#[test]
fn every_stream_of_a_provider_is_passed_on_to_an_end_or_an_error() {
    let fuzzed = FuzzedProvider::new();
    for kind in KINDS {
        let corpus = super::files(&format!("providers/tests/fixtures/{kind}"), "sse");
        assert!(!corpus.is_empty());
        let cases = (mutated_text(corpus), proptest::sample::select(&PATHS[..]), 1_usize..200);
        let tried = super::runner_for_slow("e2e/fuzz/corpus/streams.txt", REPEATED)
            .run(&cases, |(answer, path, size)| fuzzed.check(path, kind, true, &answer, size));
        tried.unwrap_or_else(|failed| panic!("{kind}: {failed}"));
    }
}
