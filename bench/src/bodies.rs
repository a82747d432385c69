//! The processor time of requests whose bodies cost more to read than others. It must grow with the bytes of a body and
//! with nothing else: a caller pays for no request that is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use kit::{HARD_BODIES, HardBody, TestApp, router_of, send};
use shared::app::ServedModels;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::project::{Limits, Policy};
use shared::model::secret::Secret;

use crate::Failure;
use crate::report::{Figure, Findings, Section};

const ROUNDS: usize = 3;
/// The most milliseconds that a megabyte may take.
const AIM: f64 = 250.0;

/// The provider that each model of the measurement has.
const KINDS: [(&str, &str); 2] = [("simulated", "simulator"), ("translated", "anthropic")];

/// Measures bodies of about `bytes` bytes, and smaller ones.
pub(crate) fn measure(bytes: usize) -> Result<Findings, Failure> {
    // One thread does all the work, so the time of a request is its processor time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sections = Vec::new();
    for (model, kind) in KINDS {
        let title = format!("Milliseconds for a megabyte, a provider of the kind `{kind}`").into();
        sections.push(Section { title, figures: runtime.block_on(measure_model(model, [bytes / 8, bytes]))? });
    }
    Ok(Findings { sections, ..Findings::default() })
}

async fn measure_model(model: &str, lengths: [usize; 2]) -> Result<Vec<Figure>, Failure> {
    let app = app().await?;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_of(&app.instance());
    let mut figures = Vec::new();
    for body in HARD_BODIES.iter().filter(|body| model == "simulated" || body.is_chat()) {
        for bytes in lengths {
            let (time, status) = fastest(&router, &key, body, model, bytes).await;
            let each = time.as_secs_f64() * 1e3 / (bytes as f64 / 1e6);
            let name = format!("{}, {:.2} MB ({status})", body.name, bytes as f64 / 1e6);
            figures.push(Figure::of_weir(name, "ms/MB", each).aim(AIM));
        }
    }
    Ok(figures)
}

/// The shortest time of some equal requests, and the status of their answers.
async fn fastest(router: &Router, key: &str, body: &HardBody, model: &str, bytes: usize) -> (Duration, u16) {
    let text = body.of(model, bytes);
    let mut fastest = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let reply = send(router, "POST", body.path, key, &[], text.clone()).await;
        fastest = fastest.min((begun.elapsed(), reply.status));
    }
    fastest
}

/// The service with a simulator, and with a provider whose API weir translates.
async fn app() -> Result<TestApp, Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let provider = Router::new().fallback(post(async move || ([("content-type", "application/json")], answer)));
    #[expect(clippy::disallowed_methods, reason = "the provider is another process")]
    tokio::spawn(async move { axum::serve(listener, provider).await });
    let catalog = Arc::new(Catalog::parse(&models(&address.to_string()))?);
    let clock = Clock::system();
    let make = providers::connect(Arc::new(FixedKey(Secret::new("k"))), &clock);
    let providers = ServedModels::connect((*catalog).clone(), &make, None).providers;
    Ok(TestApp::builder().clock(clock).models(catalog).providers(providers).build().await)
}

fn models(address: &str) -> String {
    let mut text = String::new();
    for (name, kind) in KINDS {
        let url = if kind == "simulator" { String::new() } else { format!("base_url = \"http://{address}/v1\"\n") };
        text += &format!("[[provider]]\nname = \"{kind}\"\nkind = \"{kind}\"\n{url}");
        text += &format!(
            "[[model]]\nname = \"{name}\"\nkind = \"chat\"\ntargets = [{{ provider = \"{kind}\", model = \"m\" }}]\n"
        );
    }
    for kind in ["embedding", "moderation", "image", "speech", "transcription"] {
        text += &format!(
            "[[model]]\nname = \"{kind}\"\nkind = \"{kind}\"\ntargets = [{{ provider = \"simulator\", model = \"m\" }}]\n"
        );
    }
    text
}
