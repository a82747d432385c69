//! Background responses: their number per second, their store operations, their time on Lambda, the delay of the first
//! event, and the time in which a reader catches up. Queue and stores are in this process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt as _;
use kit::{Script, TestApp, router_of, send};
use serde_json::{Value, json};
use shared::app::Components;
use shared::data::Queue;
use shared::model::clock::Clock;
use shared::model::project::{Limits, Policy};
use tower::ServiceExt as _;

use crate::Failure;
use crate::report::{Chart, Figure, Findings, Line, Section};

/// The messages that Lambda gives to a worker at once.
pub(crate) const BATCH: usize = 10;
/// A job of 10 s, for the comparison of invocations with different numbers of jobs: its provider sends 20 words, with a
/// pause before each and before the two final chunks.
const WORDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(455);
const TOGETHER: [usize; 6] = [1, 2, 5, 10, 20, 50];
const EVENTS: usize = 5_000;
const STREAMS: usize = 40;

pub(crate) const PATH: &str = "/v1/responses";

pub(crate) fn measure(jobs: usize) -> Result<Findings, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut figures = runtime.block_on(measure_throughput(jobs));
    let (shared, chart) = runtime.block_on(measure_shared_invocations());
    figures.extend(shared);
    figures.extend(runtime.block_on(measure_first_events()));
    figures.push(runtime.block_on(measure_catching_up()));
    let sections = vec![Section { title: "background responses, in one process".into(), figures }];
    Ok(Findings { sections, charts: vec![chart], ..Findings::default() })
}

struct Service {
    app: TestApp,
    instance: Components,
    router: Router,
    key: String,
}

impl Service {
    async fn new(script: Script) -> Self {
        let app = TestApp::builder().clock(Clock::system()).build().await;
        app.first.always(script);
        let (_, key) = app.project(Limits::default(), Policy::default()).await;
        let instance = app.instance();
        Self { router: router_of(&instance), instance, app, key }
    }

    async fn accept(&self) {
        let reply = send(&self.router, "POST", PATH, &self.key, &[], body(false).to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Invokes the worker with up to `most` messages. Returns the number of messages.
    async fn invoke(&self, most: usize) -> usize {
        let received = self.app.queues.receive(Queue::Respond.name(), most).unwrap_or_default();
        let event = local::event_of(Queue::Respond.name(), received);
        let response = respond::job(event.clone(), self.instance.response_worker(), None).await;
        self.app.acknowledge(Queue::Respond, &event, &response);
        event.records.len()
    }
}

fn body(stream: bool) -> Value {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 100, "background": true, "stream": stream})
}

/// Measures jobs that are first all accepted, then run in batches, two batches at once. The provider answers at once.
async fn measure_throughput(jobs: usize) -> Vec<Figure> {
    let service = Service::new(Script::answer("Hello there.", 10, 5)).await;
    service.accept().await; // The first call caches the key and creates the meter.
    service.invoke(BATCH).await;
    let _ = service.app.log.take();
    let begun = Instant::now();
    for _ in 0..jobs {
        service.accept().await;
    }
    let accepted = service.app.log.take();
    while tokio::join!(service.invoke(BATCH), service.invoke(BATCH)) != (0, 0) {}
    let seconds = begun.elapsed().as_secs_f64();
    let worked = service.app.log.take();
    let each = |log: &[String]| log.len() as f64 / jobs as f64;
    let mut figures = vec![
        Figure::of_weir("jobs accepted and made per second", "/s", jobs as f64 / seconds),
        Figure::of_weir("store operations to accept a job", "", each(&accepted)),
        Figure::of_weir("store operations to make it", "", each(&worked)),
    ];
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in accepted.iter().chain(&worked) {
        *kinds.entry(operation).or_default() += 1;
    }
    let of_kind =
        |(name, count): (&&str, &usize)| Figure::of_weir(format!("  {name} per job"), "", *count as f64 / jobs as f64);
    figures.extend(kinds.iter().map(of_kind));
    figures
}

/// Measures the time that Lambda bills for a job of 10 s, by the number of jobs in its invocation.
async fn measure_shared_invocations() -> (Vec<Figure>, Chart) {
    let measured = futures_util::future::join_all(TOGETHER.map(async |together| {
        let service = Service::new(Script::Paced { text: "word ".repeat(WORDS), gap: PAUSE }).await;
        for _ in 0..together {
            service.accept().await;
        }
        let begun = Instant::now();
        let worked = service.invoke(together).await;
        (worked, begun.elapsed().as_secs_f64() / worked.max(1) as f64)
    }));
    let measured = measured.await;
    let alone = measured.first().map_or(1.0, |(_, seconds)| *seconds);
    let mut figures: Vec<Figure> = measured
        .iter()
        .map(|(together, seconds)| {
            Figure::of_weir(format!("Lambda time per job of 10 s, {together} together"), "s", *seconds)
        })
        .collect();
    if let Some((_, seconds)) = measured.last() {
        figures.push(Figure::of_weir("50 together, as a share of one alone", "", seconds / alone).aim(1.0 / 20.0));
    }
    let mut line = Line::new("seconds of Lambda per job");
    line.points = measured.iter().map(|(together, seconds)| (*together as f64, *seconds)).collect();
    let chart = Chart::of_lines(
        "jobs-lambda-time",
        "Lambda's time for a job of 10 s, by jobs per invocation",
        ["jobs per invocation", "seconds"],
        vec![line],
    )
    .logarithmic();
    (figures, chart)
}

/// Measures the time from the request of a background stream to its first event, and to its first output.
async fn measure_first_events() -> Vec<Figure> {
    let service = Service::new(Script::answer("Hello there.", 10, 5)).await;
    let working = async {
        loop {
            if service.app.queues.wait_for_message(Queue::Respond.name()).await.is_err() {
                return;
            }
            service.invoke(BATCH).await;
        }
    };
    let following = async {
        let (mut events, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..STREAMS {
            let (event, output) = time_first_event(&service).await;
            events.push(event);
            outputs.push(output);
        }
        (median(events), median(outputs))
    };
    let (event, output) = tokio::select! {
        medians = following => medians,
        () = working => (f64::NAN, f64::NAN),
    };
    vec![
        Figure::of_weir("from accepting to the first event, p50", "ms", event).aim(50.0),
        Figure::of_weir("from accepting to the first output, p50", "ms", output).aim(50.0),
    ]
}

async fn time_first_event(service: &Service) -> (f64, f64) {
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", service.key))
        .body(Body::from(body(true).to_string()));
    let Ok(request) = request else { return (f64::NAN, f64::NAN) };
    let begun = Instant::now();
    let answer = service.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let mut chunks = answer.into_body().into_data_stream();
    let (mut event, mut output) = (f64::NAN, f64::NAN);
    while let Some(Ok(chunk)) = chunks.next().await {
        let ms = begun.elapsed().as_secs_f64() * 1_000.0;
        event = event.min(ms);
        let text = String::from_utf8_lossy(&chunk);
        if text.contains("response.output_text.delta") {
            output = output.min(ms);
        }
    }
    (event, output)
}

/// Measures the time to read a finished response with 5,000 events.
async fn measure_catching_up() -> Figure {
    let text = "word ".repeat(EVENTS);
    let service = Service::new(Script::answer(&text, 10, 5)).await;
    service.accept().await;
    service.invoke(1).await;
    let jobs = service.instance.job_admin().list(None, None, &shared::app::Cursor { after: None, limit: 1 }).await;
    let id = jobs.map(|page| page.items.first().map(|job| job.key.response_id.clone())).unwrap_or_default();
    let path = format!("{PATH}/{}?stream=true&starting_after=1", id.unwrap_or_default());
    let mut times = Vec::new();
    for _ in 0..9 {
        let begun = Instant::now();
        let reply = send(&service.router, "GET", &path, &service.key, &[], "").await;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        let events = reply.text().matches("event: ").count();
        assert!(events > EVENTS, "{events} events");
    }
    Figure::of_weir("catching up on 5,000 events, p50", "ms", median(times)).aim(100.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
