//! No prompt, answer or key in any log line, whatever goes wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use kit::{Fault, Script, TestApp, send};
use serde_json::json;
use shared::data::Queue;
use shared::edge::config::HttpConfig;
use shared::edge::telemetry::init_log_to;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, ProviderRefusal};

use crate::jobs::RESPONSES;
use crate::{CHAT, PATH, STREAM};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const PROMPT: &str = "pineapple-secret";

fn quoting() -> Failure {
    Failure::Refused {
        status: 400,
        refusal: ProviderRefusal { message: format!("I will not say {PROMPT}"), ..ProviderRefusal::default() },
    }
}

fn quoting_outage() -> Failure {
    Failure::Unavailable { status: 500, message: format!("crashed on {PROMPT}"), retry_after: None }
}

#[tokio::test]
async fn no_line_holds_a_prompt_an_answer_or_a_key() {
    let captured = Captured::default();
    let writer = captured.clone();
    // For all threads and tests: what `tracing` remembers of who listens is shared by all of them, and a subscriber of one
    // thread would miss what others met first.
    init_log_to(&"trace,hyper=trace,aws_smithy_runtime=trace".parse().unwrap(), move || writer.clone());

    let app = TestApp::new().await;
    let (project, key) =
        app.project(Limits::default(), Policy { cache_ttl_seconds: Some(60), ..Policy::default() }).await;
    let instance = app.instance();
    let router = kit::router_of(&instance);
    app.first.always(Script::answer(PROMPT, 1, 1));
    let chat = CHAT.replace("Hello", PROMPT);
    let headers = [("idempotency-key", PROMPT)];
    for body in [
        chat.clone(),
        STREAM.replace("Hello", PROMPT),
        CHAT.replace("priced", PROMPT),
        format!("{{\"{PROMPT}\""),
        format!(r#"{{"model":"priced","messages":"{PROMPT}"}}"#),
    ] {
        send(&router, "POST", PATH, &key, &headers, body.clone()).await;
        send(&router, "POST", PATH, &key, &[], body.clone()).await;
        send(&router, "POST", PATH, &format!("{key}x"), &[], body).await;
    }
    for script in
        [Script::Fail(quoting), Script::Fail(quoting_outage), Script::broken(&format!("{PROMPT} {PROMPT}"), 1)]
    {
        app.first.then(script);
        send(&router, "POST", PATH, &key, &[("cache-control", "no-cache")], STREAM.replace("Hello", PROMPT)).await;
    }
    let ask = json!({"model": "priced", "input": PROMPT, "instructions": PROMPT});
    for more in [json!({}), json!({"stream": true}), json!({"background": true}), json!({"tools": PROMPT})] {
        let mut body = ask.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        send(&router, "POST", RESPONSES, &key, &[], body.to_string()).await;
    }
    for script in [Script::Fail(quoting), Script::Fail(quoting_outage)] {
        app.first.then(script);
        send(&router, "POST", RESPONSES, &key, &[], ask.to_string()).await;
    }
    app.first.then(Script::broken(&format!("{PROMPT} {PROMPT}"), 1));
    app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
    app.faults.set(|_| Fault::Lose);
    send(&router, "POST", PATH, &key, &[], chat.clone()).await;
    app.faults.clear();
    let event = include_str!("../../events/models-list.json").replace(r#""Host""#, r#""x-request-id""#);
    local::invoke_on(&instance, "models", &event, &HttpConfig::default()).await.unwrap();
    instance.drain().await;
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours = lines.iter().filter(|line| line["target"].as_str().unwrap().starts_with("shared")).count();
    assert!(ours > 15, "{ours} lines");
    let (mut from_gateway, mut from_project) = (0, 0);
    for line in lines {
        let text = line.to_string();
        assert!(!text.contains("aws_smithy"), "the SDK says nothing of a call that weir logs: {line}");
        assert!(!text.contains(PROMPT) && !text.contains(&key[20..]), "{line}");
        let level = line["level"].as_str().unwrap();
        let is_ours = line["target"].as_str().unwrap().starts_with("shared");
        assert!(is_ours || matches!(level, "ERROR" | "WARN" | "INFO"), "{line}");
        // Whose request it is, once its key was taken; never if it was not.
        let (of, key_id) = (&line["project.id"], &line["key.id"]);
        from_project += usize::from(line["message"] == "request" && *of == project.id && key_id.is_string());
        assert!(line["http.status"] != 401 || (of.is_null() && key_id.is_null()), "{line}");
        if line["client_request_id"] == "abc123.execute-api.eu-central-1.amazonaws.com" {
            assert_eq!(line["gateway.request_id"], "11111111-2222-3333-4444-555555555555", "API Gateway's own id");
            assert!(line["request.id"].as_str().unwrap().starts_with("req_"), "{line}");
            assert_eq!(line["client.address"], "203.0.113.7");
            from_gateway += 1;
        }
    }
    assert!(from_project > 15, "{from_project} lines name the project and its key");
    assert_eq!(from_gateway, 1, "requests that came through API Gateway, by their ids");
}
