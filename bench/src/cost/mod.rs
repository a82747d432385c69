//! The cost of a call and of a job on AWS. The real functions run them. This module adds up the store operations in the
//! units that AWS bills, the time on Lambda and the bytes of the log, and multiplies them with their prices.

pub(crate) mod price;
mod site;

use std::time::Duration;

use kit::Script;
use serde_json::{Value, json};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};

use crate::Failure;
use crate::jobs;
use crate::report::{Findings, Table};
use price::Used;
use site::Site;

/// The number of calls or jobs of each kind, all at once.
const MADE: usize = 10;
/// An answer has 300 words, and arrives whole after 10 s or word by word within 10 s.
const WORDS: usize = 300;
const LASTS: Duration = Duration::from_secs(10);
/// The kit's model that has a price and permits a slow answer.
const MODEL: &str = "two-targets";
const CHAT: &str = "/v1/chat/completions";

pub(crate) fn measure() -> Result<Findings, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let log = site::LogBytes::start();
    let mut cases = Vec::new();
    for call in calls() {
        cases.push((call.name, runtime.block_on(call.measure(&log))));
    }
    for job in JOBS {
        cases.push((job.name, runtime.block_on(job.measure(&log))));
    }
    let counted = cases.iter().map(|(name, used)| used.counts_row(name));
    let priced = cases.iter().map(|(name, used)| used.prices_row(name));
    let tables = vec![
        Table { columns: price::COUNTED.map(str::to_owned).into(), rows: counted.collect() },
        Table { columns: price::PRICED.map(str::to_owned).into(), rows: priced.collect() },
    ];
    Ok(Findings { tables, ..Findings::default() })
}

/// A call whose caller waits for the answer.
#[derive(Default)]
struct Call {
    name: &'static str,
    stream: bool,
    /// Each call has its own `Idempotency-Key`.
    keyed: bool,
    policy: Policy,
    limits: Limits,
    /// The same call was made before, and its repetition is measured.
    repeated: bool,
    status: u16,
}

fn calls() -> [Call; 7] {
    let plain = || Call { status: 200, ..Call::default() };
    let cached = || Policy { cache_ttl_seconds: Some(3_600), ..Policy::default() };
    let broke = Limits { budget: Some(MicroUsd(1)), ..Limits::default() };
    [
        Call { name: "chat call", ..plain() },
        Call { name: "chat stream", stream: true, ..plain() },
        Call { name: "chat call with a key", keyed: true, ..plain() },
        Call { name: "chat stream with a key", keyed: true, stream: true, ..plain() },
        Call { name: "replay of a chat call", keyed: true, repeated: true, ..plain() },
        Call { name: "chat call from the cache", policy: cached(), repeated: true, ..plain() },
        Call { name: "chat call over budget", limits: broke, status: 429, ..plain() },
    ]
}

impl Call {
    async fn measure(self, log: &site::LogBytes) -> Used {
        let site = Site::new(script(self.stream), self.limits, self.policy.clone(), log).await;
        self.make(&site, "warm up").await;
        if self.repeated {
            self.make(&site, "repeated").await;
        }
        site.measure(MADE, async |used| {
            for lasted in self.make(&site, if self.repeated { "repeated" } else { "first" }).await {
                used.add_request(lasted);
            }
        })
        .await
    }

    /// Makes all calls at once. Returns the duration of each.
    async fn make(&self, site: &Site, round: &str) -> Vec<Duration> {
        let made = (0..MADE).map(async |number| {
            let key = format!("{round}-{number}");
            let headers = [("idempotency-key", key.as_str())];
            let headers = if self.keyed { &headers[..] } else { &[] };
            let question = format!("{round} {number}: what is a weir?");
            let body = json!({
                "model": MODEL, "messages": [{"role": "user", "content": question}], "stream": self.stream,
                "max_completion_tokens": 1_000,
            });
            site.post(CHAT, headers, &body, self.status).await
        });
        futures_util::future::join_all(made).await
    }
}

/// A background response.
struct Job {
    name: &'static str,
    /// Jobs that share an invocation of the worker.
    together: usize,
    /// The caller reads the events while the response runs.
    followed: bool,
    /// A webhook endpoint of the project gets its end.
    has_webhook: bool,
}

const JOBS: [Job; 4] = [
    Job { name: "job, alone in its invocation", together: 1, followed: false, has_webhook: false },
    Job { name: "job, ten in an invocation", together: jobs::BATCH, followed: false, has_webhook: false },
    Job { name: "job whose caller follows it", together: jobs::BATCH, followed: true, has_webhook: false },
    Job { name: "job that a webhook tells of", together: jobs::BATCH, followed: false, has_webhook: true },
];

impl Job {
    async fn measure(&self, log: &site::LogBytes) -> Used {
        let site = Site::new(script(true), Limits::default(), Policy::default(), log).await;
        if self.has_webhook {
            site.add_endpoint().await;
        }
        // The first jobs fill the caches for the key, the meter and the endpoints.
        self.make(&site, &mut Used::default()).await;
        site.measure(MADE, async |used| self.make(&site, used).await).await
    }

    async fn make(&self, site: &Site, used: &mut Used) {
        let body = self.body();
        let accepting = futures_util::future::join_all((0..MADE).map(|_| site.post(jobs::PATH, &[], &body, 200)));
        let working = site.respond(MADE, self.together);
        let (accepted, worked) = tokio::join!(accepting, working);
        accepted.into_iter().for_each(|lasted| used.add_request(lasted));
        worked.into_iter().for_each(|lasted| used.add_response_batch(lasted));
        if self.has_webhook {
            site.deliver(MADE).await.into_iter().for_each(|lasted| used.add_delivery_batch(lasted));
        }
    }

    fn body(&self) -> Value {
        json!({
            "model": MODEL, "input": "What is a weir?", "background": true, "stream": self.followed,
            "max_output_tokens": 1_000,
        })
    }
}

fn script(stream: bool) -> Script {
    let text = "word ".repeat(WORDS);
    match stream {
        // The stream ends with two more chunks.
        true => Script::Paced { text, gap: LASTS / (WORDS as u32 + 2) },
        false => Script::slow(LASTS, &text, 10, WORDS as u64),
    }
}
