//! One trace from the request to the webhook, with nothing that anybody said unless an operator wants it.

use kit::{Hook, Script};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::edge::config::TelemetryConfig;
use shared::model::project::{Limits, Policy};
use shared::model::provider::Failure;
use tokio::net::TcpListener;
use tokio::time::{Duration, Instant};

use super::Observed;
use super::collector::{Collector, attribute};
use crate::jobs::RESPONSES;
use crate::{CHAT, PATH, STREAM};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: [u8; 8] = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

fn header(span_id: &[u8]) -> String {
    let digits: String = span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("00-{TRACE}-{digits}-01")
}

async fn register(observed: &Observed, hook: &Hook) {
    let body = json!({"name": "a", "url": hook.url(), "event_types": ["response.completed"]}).to_string();
    assert_eq!(observed.post("/v1/webhook_endpoints", &[], &body).await.status, 200);
}

fn background(input: &str) -> String {
    json!({"model": "priced", "input": input, "max_output_tokens": 100, "background": true}).to_string()
}

#[tokio::test]
async fn one_trace_goes_from_the_request_through_the_worker_to_the_webhook() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    let hook = Hook::start(&observed.app.clock).await;
    register(&observed, &hook).await;
    assert_eq!(observed.post(RESPONSES, &[TRACEPARENT], &background("Hello")).await.status, 200);
    observed.work(Queue::Respond).await;
    observed.work(Queue::Deliver).await;

    let expected = "\
SERVER POST /v1/responses faas.name=responses http.request.method=POST http.response.status_code=200 http.route=/v1/responses url.path=/v1/responses
  CONSUMER process respond faas.name=respond messaging.destination.name=respond messaging.message.id=_ messaging.operation.type=process messaging.system=aws_sqs
    CLIENT chat scripted-1 gen_ai.operation.name=chat gen_ai.provider.name=first gen_ai.request.model=scripted-1 gen_ai.response.finish_reasons=[stop] gen_ai.response.id=chatcmpl-1 gen_ai.response.model=scripted-1 gen_ai.usage.cache_creation.input_tokens=0 gen_ai.usage.cache_read.input_tokens=0 gen_ai.usage.input_tokens=10 gen_ai.usage.output_tokens=5
    CONSUMER process deliver faas.name=deliver messaging.destination.name=deliver messaging.message.id=_ messaging.operation.type=process messaging.system=aws_sqs
      CLIENT POST http.request.method=POST http.response.status_code=200
";
    assert_eq!(collector.tree(&CALLER), expected);
    let trace = collector.span("process deliver").trace_id;
    assert_eq!(trace.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), TRACE);
    let asked = observed.app.first.calls()[0].traceparent.clone();
    assert_eq!(asked, Some(header(&collector.span("chat scripted-1").span_id)), "what the provider continues");
    assert_eq!(hook.received()[0].header("traceparent"), header(&collector.span("POST").span_id));
    assert_eq!(collector.services()[0], "weir");
}

#[tokio::test]
async fn a_response_that_the_sweeper_finds_keeps_its_trace() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    assert_eq!(observed.post(RESPONSES, &[TRACEPARENT], &background("Hello")).await.status, 200);
    drop(observed.app.take_messages(Queue::Respond)); // Its worker died.
    observed.app.clock.advance_ms(61_000);
    observed.telemetry.for_function("sweep").observe_and_flush(observed.instance.sweeper().sweep()).await.unwrap();
    observed.work(Queue::Respond).await;
    let server = collector.span("POST /v1/responses");
    assert_eq!(collector.span("process respond").parent_span_id, server.span_id);
}

#[tokio::test]
async fn every_attempt_at_a_provider_has_a_span() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    let down = || Failure::Unavailable { status: 503, message: "secret words".into(), retry_after: None };
    observed.app.first.then(Script::Fail(down));
    let body = CHAT.replace("priced", "two-targets");
    assert_eq!(observed.post(PATH, &[TRACEPARENT], &body).await.status, 200);
    let (first, second) = (collector.span("chat a"), collector.span("chat b"));
    assert_eq!(attribute(&first, "error.type"), "503");
    assert_eq!(first.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "503")));
    assert_eq!(
        (attribute(&second, "error.type"), attribute(&second, "gen_ai.provider.name")),
        ("".into(), "second".into())
    );
    assert_eq!(first.parent_span_id, second.parent_span_id);
    assert!(!collector.has("secret words"));
}

#[tokio::test]
async fn the_spans_of_a_stream_are_sent_before_it_ends_and_those_of_a_broken_one_say_so() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    assert_eq!(observed.post(PATH, &[], STREAM).await.status, 200);
    // `post` has read the body to its end, and nothing else flushes.
    assert_eq!(attribute(&collector.span("chat scripted-1"), "gen_ai.usage.output_tokens"), "5");
    assert_eq!(attribute(&collector.span("POST /v1/chat/completions"), "error.type"), "");

    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    observed.app.first.then(Script::broken("One two three", 2));
    observed.post(PATH, &[], STREAM).await;
    assert_eq!(attribute(&collector.span("chat scripted-1"), "error.type"), "interrupted");
    assert_eq!(attribute(&collector.span("POST /v1/chat/completions"), "error.type"), "stream_interrupted");
}

const PROMPT: &str = "pineapple-secret";

/// Says something in every way, and has it answered.
async fn converse(observed: &Observed) {
    observed.app.first.always(Script::answer(&format!("{PROMPT} indeed"), 10, 5));
    for body in [CHAT, STREAM] {
        assert_eq!(observed.post(PATH, &[], &body.replace("Hello", PROMPT)).await.status, 200);
    }
    assert_eq!(observed.post(RESPONSES, &[], &background(PROMPT)).await.status, 200);
    observed.work(Queue::Respond).await;
}

#[tokio::test]
async fn no_span_holds_what_was_said() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    converse(&observed).await;
    assert!(collector.exports() >= 4 && collector.has("chat scripted-1"));
    assert!(!collector.has(PROMPT) && !collector.has(&observed.key[20..]) && !collector.has(&observed.project_id));
}

#[tokio::test]
async fn spans_hold_what_was_said_where_an_operator_opted_in() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, true).await;
    converse(&observed).await;
    let calls: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "chat scripted-1").collect();
    assert_eq!(calls.len(), 3);
    for call in calls {
        let said = |name: &str| serde_json::from_str::<Value>(&attribute(&call, name)).unwrap();
        let part = |text: &str| json!([{"type": "text", "content": text}]);
        assert_eq!(said("gen_ai.input.messages"), json!([{"role": "user", "parts": part(PROMPT)}]));
        let answer =
            json!([{"role": "assistant", "parts": part(&format!("{PROMPT} indeed")), "finish_reason": "stop"}]);
        assert_eq!(said("gen_ai.output.messages"), answer);
    }
}

#[tokio::test]
async fn without_a_collector_a_trace_goes_on_and_what_is_none_does_not() {
    let observed = Observed::new(Limits::default(), Policy::default(), TelemetryConfig::default()).await;
    let wrong = ("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01");
    for headers in [TRACEPARENT, wrong] {
        observed.post(PATH, &[headers], CHAT).await;
        observed.post(RESPONSES, &[headers], &background("Hello")).await;
        observed.work(Queue::Respond).await;
    }
    let asked: Vec<Option<String>> = observed.app.first.calls().into_iter().map(|call| call.traceparent).collect();
    let goes_on = Some(TRACEPARENT.1.to_owned());
    assert_eq!(asked, [goes_on.clone(), goes_on, None, None]);
}

#[tokio::test]
async fn a_wrong_traceparent_begins_a_trace_of_ones_own() {
    let collector = Collector::start().await;
    let observed = Observed::traced(&collector, false).await;
    observed.post(PATH, &[("traceparent", "00-XYZ-b7ad6b7169203331-01")], CHAT).await;
    let server = collector.span("POST /v1/chat/completions");
    assert_eq!(server.parent_span_id, [0; 0]);
    assert!(!collector.has("XYZ"));
}

/// A collector that takes connections and never answers, under a clock that stands still while anybody works: what is
/// measured is what was waited for.
#[tokio::test(start_paused = true)]
async fn a_dead_collector_holds_one_answer_for_half_a_second_and_fails_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces_endpoint = Some(format!("http://{}/v1/traces", listener.local_addr().unwrap()));
    let config = TelemetryConfig { traces_endpoint, ..TelemetryConfig::default() };
    let observed = Observed::new(Limits::default(), Policy::default(), config).await;
    let mut waited = Vec::new();
    for body in [CHAT, STREAM, CHAT] {
        let begun = Instant::now();
        assert_eq!(observed.post(PATH, &[], body).await.status, 200);
        waited.push(begun.elapsed());
    }
    let half_a_second = Duration::from_millis(490)..=Duration::from_millis(510);
    assert!(half_a_second.contains(&waited[0]), "{waited:?}");
    assert!(waited[1..].iter().all(|waited| *waited < Duration::from_millis(10)), "left alone for a while: {waited:?}");

    let begun = Instant::now();
    observed.post(RESPONSES, &[], &background("Hello")).await;
    observed.work(Queue::Respond).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
