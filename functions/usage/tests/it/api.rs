//! The usage API of a [`TestApp`] whose two projects made some calls.

use axum::Router;
use kit::TestApp;
use serde_json::Value;
use shared::model::clock::{Clock, Timestamp};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};
use shared::model::tokens::Usage;
use shared::model::usage::{Operation, UsageCount, UsageKey};

/// 2026-01-01T00:00:00Z, the first day of the tests.
pub(crate) const DAY: u64 = 1_767_225_600;
const HOUR: u64 = 3_600;

pub(crate) struct UsageApi {
    app: TestApp,
    router: Router,
    /// The ids of two projects, in the order in which reports list them.
    pub(crate) projects: [String; 2],
    /// A key of one of them.
    pub(crate) project_key: String,
}

impl UsageApi {
    /// It is noon of the third day. The projects made these calls, in hours since [`DAY`]: the first project called `chat`
    /// with `key_a` in hours 0, 23 and 24 and `embed` in hour 1; the second project called `chat` with `key_b` in hour 24
    /// and `moderate` in hour 50.
    pub(crate) async fn new() -> Self {
        let app = TestApp::builder().clock(Clock::manual((DAY + 60 * HOUR) * 1_000)).build().await;
        let (first, project_key) = app.project(Limits::default(), Policy::default()).await;
        let (second, _) = app.project(Limits::default(), Policy::default()).await;
        let mut projects = [first.id, second.id];
        projects.sort_unstable();
        let api = Self { router: app.router(), app, projects, project_key };
        for (project, hour, operation, model, key) in [
            (0, 0, Operation::Completions, "chat", "key_a"),
            (0, 23, Operation::Completions, "chat", "key_a"),
            (0, 24, Operation::Completions, "chat", "key_a"),
            (0, 1, Operation::Embeddings, "embed", "key_a"),
            (1, 24, Operation::Completions, "chat", "key_b"),
            (1, 50, Operation::Moderations, "moderate", "key_b"),
        ] {
            api.count(project, hour, operation, model, key).await;
        }
        api
    }

    /// Counts two calls of 10 tokens in and 3 out, each for 0.1 dollars, settled at different shards.
    async fn count(&self, project: usize, hour: u64, operation: Operation, model: &str, key: &str) {
        let at = Timestamp((DAY + hour * HOUR) * 1_000);
        for shard in 0..2 {
            let key = UsageKey {
                project_id: self.projects[project].clone(),
                hour: at.hour(),
                operation,
                model: model.to_owned(),
                api_key_id: key.to_owned(),
                run: String::new(),
                shard,
            };
            let tokens = Usage {
                input: 10,
                cached_input: 4,
                cache_write: 1,
                audio_input: 2,
                output: 3,
                reasoning: 2,
                audio_output: 1,
                ..Usage::default()
            };
            let count = UsageCount { requests: 1, tokens, cost: MicroUsd(100_000) };
            self.app.stores.usage_counters().add(&key, &count, at).await.unwrap();
        }
    }

    /// Sends a request with a key. Returns the status and the body.
    pub(crate) async fn send(&self, key: Option<&str>, path: &str) -> (u16, Value) {
        let reply = kit::send(&self.router, "GET", path, key.unwrap_or_default(), &[], "").await;
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }
}
