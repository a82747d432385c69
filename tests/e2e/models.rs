//! A models file that is wrong or changes: only what is wrong fails, with the reason, and prices hold from the
//! reservation to the settlement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kit::{Script, ScriptedProvider, TestApp, router_of, send};
use respond::job;
use serde_json::json;
use shared::app::{Components, Models, ModelsError, ModelsSource, Providers, ServedModels};
use shared::data::Queue;
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};
use shared::model::provider::Provider;

use crate::{CHAT, PATH, budget};

const FILE: &str = r#"
[[provider]]
name = "first"
kind = "simulator"
[[provider]]
name = "broken"
kind = "openai"
base_url = "ftp://wrong"
api_key_secret = "team/secret-name"

[[model]]
name = "priced"
kind = "chat"
price = { input = 1.0, output = 2.0 }
context_tokens = 128000
max_output_tokens = 4096
targets = [{ provider = "first", model = "x" }]

[[model]]
name = "falls-back"
kind = "chat"
targets = [{ provider = "broken", model = "x" }, { provider = "first", model = "x" }]

[[model]]
name = "alone"
kind = "chat"
targets = [{ provider = "broken", model = "x" }]

[[model]]
name = "wrong"
kind = "chat"
price = { input = -1.0, output = 2.0 }
targets = [{ provider = "first", model = "x" }]
"#;

/// Models whose text the test sets; `None` is a text that cannot be read.
#[derive(Default)]
struct Text(Mutex<Option<String>>, Providers);

#[async_trait]
impl ModelsSource for Text {
    async fn read(&self, _: Option<&ServedModels>) -> Result<Option<ServedModels>, ModelsError> {
        let text = self.0.lock().unwrap().clone().ok_or_else(|| ModelsError {
            place: "s3://secret-bucket/models.toml".to_owned(),
            problem: "the object does not exist".to_owned(),
            source: None,
        })?;
        Ok(Some(ServedModels { catalog: Catalog::read(&text).unwrap(), providers: self.1.clone() }))
    }
}

/// A process of `app` that serves `text`, and the source of its models.
async fn instance(app: &TestApp, text: Option<&str>) -> (Components, Arc<Text>) {
    let first: Arc<ScriptedProvider> = Arc::clone(&app.first);
    let providers: Providers = HashMap::from([("first".to_owned(), first as Arc<dyn Provider>)]);
    let source = Arc::new(Text(Mutex::new(text.map(str::to_owned)), providers));
    let models = Models::read(Arc::clone(&source) as Arc<dyn ModelsSource>, app.clock.clone()).await;
    (app.instance().serving(Arc::new(models)), source)
}

#[tokio::test]
async fn a_wrong_entry_fails_only_its_own_model_or_provider() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (instance, _) = instance(&app, Some(FILE)).await;
    let router = router_of(&instance);
    let ask = async |model: &str| send(&router, "POST", PATH, &key, &[], CHAT.replace("priced", model)).await;
    assert_eq!(ask("priced").await.status, 200);

    let reply = ask("falls-back").await;
    assert_eq!((reply.status, reply.header("x-weir-provider")), (200, "first"), "{}", reply.text());

    let reply = ask("alone").await;
    let error = reply.json()["error"].clone();
    assert_eq!((reply.status, error["code"].as_str()), (502, Some("provider_not_set_up")), "{error}");
    let told = error["message"].as_str().unwrap();
    assert!(
        told.contains("`broken`") && !reply.text().contains("secret-name") && !reply.text().contains("ftp:"),
        "{told}"
    );

    let reply = ask("wrong").await;
    let error = reply.json()["error"].clone();
    assert_eq!((reply.status, error["code"].as_str()), (503, Some("models_unavailable")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("line 30"), "{error}");
    assert_eq!(ask("absent").await.status, 404);

    let listed = send(&router, "GET", "/v1/models", &key, &[], "").await;
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 3, "{}", listed.text());
}

#[tokio::test]
async fn without_models_every_route_that_needs_them_says_why() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (instance, source) = instance(&app, None).await;
    let router = router_of(&instance);
    for (method, path, body) in [
        ("POST", PATH, CHAT),
        ("GET", "/v1/models", ""),
        ("GET", "/v1/models/priced", ""),
        ("POST", "/v1/responses", r#"{"model":"priced","input":"hi"}"#),
        ("GET", "/healthz", ""),
    ] {
        let reply = send(&router, method, path, &key, &[], body).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, error["code"].as_str()), (503, Some("models_unavailable")), "{path} {error}");
        assert!(error["message"].as_str().unwrap().contains("the object does not exist"), "{error}");
        assert!(!reply.text().contains("secret-bucket"));
        assert_eq!(reply.header("retry-after"), "5", "{path}");
    }
    *source.0.lock().unwrap() = Some(FILE.to_owned());
    app.clock.advance_ms(5_000);
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    let health = send(&router, "GET", "/healthz", "", &[], "").await;
    assert_eq!(
        (health.status, health.text().starts_with("ok, but the models file has 4 errors")),
        (200, true),
        "{}",
        health.text()
    );
}

#[tokio::test]
async fn a_background_response_is_settled_at_the_price_of_its_reservation() {
    let app = TestApp::new().await;
    app.first.always(Script::answer("Hello there.", 10, 5));
    let (project, key) = app.project(budget(10.0), Policy::default()).await;
    let (instance, source) = instance(&app, Some(FILE)).await;
    let body = json!({"model": "priced", "input": "hi", "background": true}).to_string();
    let queued = send(&router_of(&instance), "POST", "/v1/responses", &key, &[], body).await;
    assert_eq!(queued.status, 200, "{}", queued.text());
    let (_, reserved) = app.books(&project).await;

    *source.0.lock().unwrap() = Some(FILE.replace("input = 1.0, output = 2.0", "input = 90000.0, output = 90000.0"));
    app.clock.advance_ms(60_000);
    let worker = instance.response_worker();
    app.work_once(Queue::Respond, |event| job(event, Arc::clone(&worker), None)).await;
    let (spent, held) = app.books(&project).await;
    assert_eq!((spent, held), (10 + 5 * 2, 0));
    assert!(spent <= reserved, "{spent} of {reserved}");
}

#[tokio::test]
async fn a_job_waits_while_its_provider_is_not_set_up() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let (instance, source) = instance(&app, Some(FILE)).await;
    let body = json!({"model": "alone", "input": "hi", "background": true}).to_string();
    let queued = send(&router_of(&instance), "POST", "/v1/responses", &key, &[], body).await;
    let path = format!("/v1/responses/{}", queued.json()["id"].as_str().unwrap());
    let worker = instance.response_worker();
    // More often than a provider that fails would be called.
    for _ in 0..6 {
        app.work_once(Queue::Respond, |event| job(event, Arc::clone(&worker), None)).await;
        let waiting = send(&router_of(&instance), "GET", &path, &key, &[], "").await;
        assert_eq!((waiting.json()["status"].as_str(), app.first.call_count()), (Some("queued"), 0));
        app.clock.advance_ms(120_000);
    }
    *source.0.lock().unwrap() = Some(FILE.replace("provider = \"broken\"", "provider = \"first\""));
    app.work_once(Queue::Respond, |event| job(event, Arc::clone(&worker), None)).await;
    let ended = send(&router_of(&instance), "GET", &path, &key, &[], "").await;
    assert_eq!((ended.json()["status"].as_str(), app.first.call_count()), (Some("completed"), 1), "{}", ended.text());
    assert_eq!(app.books(&project).await.1, 0);
}

#[tokio::test]
async fn a_job_waits_while_its_model_cannot_be_served() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(10.0), Policy::default()).await;
    let (instance, source) = instance(&app, Some(FILE)).await;
    let body = json!({"model": "priced", "input": "hi", "background": true}).to_string();
    let queued = send(&router_of(&instance), "POST", "/v1/responses", &key, &[], body).await;
    let path = format!("/v1/responses/{}", queued.json()["id"].as_str().unwrap());
    let status = async || {
        let reply = send(&router_of(&instance), "GET", &path, &key, &[], "").await;
        reply.json()["status"].as_str().unwrap().to_owned()
    };
    *source.0.lock().unwrap() = Some(FILE.replace("input = 1.0", "input = -1.0"));
    app.clock.advance_ms(60_000);
    let worker = instance.response_worker();
    let work = async || app.work_once(Queue::Respond, |event| job(event, Arc::clone(&worker), None)).await;
    work().await;
    assert_eq!((status().await.as_str(), app.first.call_count()), ("queued", 0));
    *source.0.lock().unwrap() = Some(FILE.to_owned());
    app.clock.advance_ms(120_000);
    work().await;
    assert_eq!((status().await.as_str(), app.first.call_count()), ("completed", 1));
    assert_eq!(app.books(&project).await.1, 0);
}
