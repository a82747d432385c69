//! What a call and a job cost on AWS. Each is made by the real functions: what they ask the stores for is added up in the
//! units that AWS bills, Lambda's time is taken, the log is counted, and all of it has its price.

mod price;
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

/// Of each kind, at once.
const MADE: usize = 10;
/// An answer of 300 words, whole after 10 s or word by word for 10 s.
const WORDS: usize = 300;
const LASTS: Duration = Duration::from_secs(10);
/// Of the kit's models the one that has a price and time for a slow answer.
const MODEL: &str = "two-targets";
const CHAT: &str = "/v1/chat/completions";

pub(crate) fn measure() -> Result<Findings, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let log = site::LogBytes::started();
    let mut cases = Vec::new();
    for call in calls() {
        cases.push((call.name, runtime.block_on(call.measure(&log))));
    }
    for job in JOBS {
        cases.push((job.name, runtime.block_on(job.measure(&log))));
    }
    let counted = cases.iter().map(|(name, used)| used.counted(name));
    let priced = cases.iter().map(|(name, used)| used.priced(name));
    let tables = vec![
        Table { columns: price::COUNTED.map(str::to_owned).into(), rows: counted.collect() },
        Table { columns: price::PRICED.map(str::to_owned).into(), rows: priced.collect() },
    ];
    Ok(Findings { tables, ..Findings::default() })
}

/// A call that is answered while its caller waits.
#[derive(Default)]
struct Call {
    name: &'static str,
    stream: bool,
    /// Each has an `Idempotency-Key` of its own.
    keyed: bool,
    policy: Policy,
    limits: Limits,
    /// It was made before: what is measured is the second time.
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
        site.measured(MADE, async |used| {
            for lasted in self.make(&site, if self.repeated { "repeated" } else { "first" }).await {
                used.answered(lasted);
            }
        })
        .await
    }

    /// All at once. How long each took.
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

/// A response that is made in the background.
struct Job {
    name: &'static str,
    /// Jobs that share an invocation of the worker.
    together: usize,
    /// Its caller reads its events while it runs.
    followed: bool,
    /// An endpoint of the project is told its end.
    told: bool,
}

const JOBS: [Job; 4] = [
    Job { name: "job, alone in its invocation", together: 1, followed: false, told: false },
    Job { name: "job, ten in an invocation", together: jobs::BATCH, followed: false, told: false },
    Job { name: "job whose caller follows it", together: jobs::BATCH, followed: true, told: false },
    Job { name: "job that a webhook tells of", together: jobs::BATCH, followed: false, told: true },
];

impl Job {
    async fn measure(&self, log: &site::LogBytes) -> Used {
        let site = Site::new(script(true), Limits::default(), Policy::default(), log).await;
        if self.told {
            site.add_endpoint().await;
        }
        // The key, the meter and the endpoints are known from here on.
        self.make(&site, &mut Used::default()).await;
        site.measured(MADE, async |used| self.make(&site, used).await).await
    }

    async fn make(&self, site: &Site, used: &mut Used) {
        let body = self.body();
        let accepting = futures_util::future::join_all((0..MADE).map(|_| site.post(jobs::PATH, &[], &body, 200)));
        let working = site.respond(MADE, self.together);
        let (accepted, worked) = tokio::join!(accepting, working);
        accepted.into_iter().for_each(|lasted| used.answered(lasted));
        worked.into_iter().for_each(|lasted| used.worked(lasted));
        if self.told {
            site.deliver(MADE).await.into_iter().for_each(|lasted| used.delivered(lasted));
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
        // Two more chunks end the stream.
        true => Script::Paced { text, gap: LASTS / (WORDS as u32 + 2) },
        false => Script::slow(LASTS, &text, 10, WORDS as u64),
    }
}
