//! Checks the built functions, started as on Lambda: `cargo test --workspace --test functions -- <folder>`. The folder
//! has their programs, as `cargo build --workspace --bins` makes them.
//!
//! A function that cannot start still deploys, so this check finds it. Each function gets its recorded events, streamed
//! and buffered, in a new process with new stores, and its answers must have the shape of the recorded ones. Each must
//! have clients of exactly those services that `template.yaml` permits it to call.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{RECORDED_ADMIN_KEY, Recorded, TestApp, compared, recorded_events};
use runtime_api::{Deployment, linked, permitted};
use serde_json::Value;
use shared::model::clock::Clock;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Arguments of the test runner begin with dashes.
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        return say("name the folder of the built functions", false);
    };
    match check_all(Path::new(&folder)).await {
        Ok(failed) => say(&format!("{failed} failed"), failed == 0),
        Err(error) => say(&error.to_string(), false),
    }
}

fn say(line: &str, is_well: bool) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{line}");
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn check_all(folder: &Path) -> Result<usize, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let template = std::fs::read_to_string(root.join("template.yaml"))?;
    let models = std::fs::read_to_string(root.join("models/models.toml"))?;
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root.join("functions"))? {
        names.push(entry?.path());
    }
    names.sort();
    let events = recorded_events();
    let mut failed = 0;
    for name in names.iter().filter_map(|path| path.file_name()?.to_str()) {
        let bootstrap = folder.join(name);
        let own: Vec<&Recorded> = events.iter().filter(|event| event.function() == name).collect();
        let checked = async {
            check_clients(&template, name, &bootstrap)?;
            replay(&bootstrap, &models, &own).await
        };
        match checked.await {
            Ok(answers) => say(&format!("{name:12} {answers} answers"), true),
            Err(error) => {
                failed += 1;
                say(&format!("{name:12} FAILED: {error}"), true)
            }
        };
    }
    Ok(failed)
}

/// Compares the clients of a binary with the function's policy.
fn check_clients(template: &str, name: &str, bootstrap: &Path) -> Result<(), Failure> {
    let binary = std::fs::read(bootstrap).map_err(|error| format!("{}: {error}", bootstrap.display()))?;
    let (linked, permitted) = (linked(&binary), permitted(template, name)?);
    let names = |services: BTreeSet<_>| services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut wrong = String::new();
    let unused = &permitted - &linked;
    if !unused.is_empty() {
        let _ = write!(wrong, "its policy permits {}, of which it has no client; ", names(unused));
    }
    let denied = &linked - &permitted;
    if !denied.is_empty() {
        let _ = write!(wrong, "it has a client of {}, which its policy does not permit; ", names(denied));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

/// Sends each event to the function, those of requests in both response modes. Returns the number of answers.
async fn replay(bootstrap: &Path, models: &str, events: &[&Recorded]) -> Result<usize, Failure> {
    let mut answers = 0;
    for event in events {
        let is_request = serde_json::from_str::<Value>(&event.text)?.get("httpMethod").is_some();
        let modes: &[&str] = if is_request { &["stream", "buffer"] } else { &[""] };
        for mode in modes {
            let found = invoke(bootstrap, models, event, mode).await;
            let found = found.map_err(|error| format!("{} {mode}: {error}", event.name))?;
            let (found, expected) = (shape(&found), shape(&event.expected()));
            if found != expected {
                return Err(format!("{} {mode}: answered {found}, expected {expected}", event.name).into());
            }
            answers += 1;
        }
    }
    if answers == 0 { Err("it has no recorded event".into()) } else { Ok(answers) }
}

async fn invoke(bootstrap: &Path, models: &str, event: &Recorded, mode: &str) -> Result<Value, Failure> {
    let app = TestApp::builder().clock(Clock::system()).build().await;
    app.provision_recorded().await;
    let deployment = Deployment::start(app, models, RECORDED_ADMIN_KEY).await?;
    let mut function = deployment.function(bootstrap, mode).await?;
    let answer = function.invoke(event.text.clone()).await?;
    if mode.is_empty() {
        return Ok(answer.json().await?);
    }
    let whole = answer.whole().await?;
    if whole.is_streamed != (mode == "stream") {
        return Err("it answered in the other mode".into());
    }
    function.polled().await?;
    let text = String::from_utf8(whole.body.to_vec()).unwrap_or_else(|bytes| BASE64_STANDARD.encode(bytes.as_bytes()));
    // Lambda's runtime names a type for a streamed answer that has none, as one without a body.
    let added = |name: &str| mode == "stream" && text.is_empty() && name == "content-type";
    let header = |name: &str| if added(name) { "" } else { whole.header(name) };
    Ok(compared(whole.status, header, &text))
}

/// Whether a member of an answer is the same in every run. The tag of a list of models is not: the built functions have
/// another list than the recorded answers.
fn is_stable(name: &str) -> bool {
    let members = ["statusCode", "contentType", "object", "type", "code", "itemIdentifier"];
    members.contains(&name) || ["allow", "cache-control", "vary"].contains(&name) || name.starts_with("access-control-")
}

/// Returns an answer without the parts that differ between runs: it replaces all numbers but the status, and most
/// texts.
fn shape(answer: &Value) -> Value {
    match answer {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                (name.clone(), if is_stable(name) { value.clone() } else { shape(value) })
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(elements) => {
            let mut shapes: Vec<Value> = elements.iter().map(shape).collect();
            shapes.dedup(); // A report has one bucket for each day since its recording.
            Value::Array(shapes)
        }
        Value::Number(_) => 0.into(),
        Value::String(_) => "".into(),
        other => other.clone(),
    }
}
