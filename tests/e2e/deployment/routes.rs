//! Every path of every router leads to its function in the template, with every method and in a mode that the function
//! answers in, and the reverse. Every other path leads to the function that answers for those that there are not.

use std::collections::{BTreeMap, BTreeSet};

use kit::{TestApp, routes_of, send};
use serde_json::Value;
use shared::model::project::{Limits, Policy};

use super::template::{Resource, Template};

/// Answers for the paths that no function serves.
const REST: &str = "models";

/// The paths of a function's events, as the template writes them. API Gateway answers a method that it does not know of a
/// path that it knows by itself, so that each path takes all methods.
fn sent(function: Resource<'_>) -> Vec<&str> {
    let events = function.properties["Events"].as_object().into_iter().flatten();
    let mut paths = Vec::new();
    for (name, event) in events.filter(|(_, event)| event["Type"] == "Api") {
        assert_eq!(event["Properties"]["Method"], "ANY", "{name} of {}", function.name);
        paths.push(event["Properties"]["Path"].as_str().unwrap());
    }
    paths
}

/// A path without the names of its parameters, which are each side's own. `{x+}` and `{*x}` both take slashes.
fn path(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{') {
        Some(name) if name.starts_with('*') || name.ends_with("+}") => "{*}".to_owned(),
        Some(_) => "{}".to_owned(),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Each path that a path begins with: a resource of API Gateway, which a greedy path beside it does not cover.
fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).filter(|beginning| !beginning.is_empty())
}

#[tokio::test]
async fn what_a_router_serves_is_what_the_template_sends_to_it() {
    let (template, app) = (Template::read(), TestApp::new().await);
    for (name, function) in template.functions() {
        let served = served(&app, &name).await;
        let sent: BTreeSet<_> = sent(function).into_iter().map(path).collect();
        let unsent: Vec<_> = served.difference(&sent).collect();
        assert!(unsent.is_empty(), "template.yaml sends no {unsent:?} to {}", function.name);
        let unserved: Vec<_> = sent.difference(&served).collect();
        let known = name == REST || unserved.is_empty();
        assert!(known, "the router of `{name}` has no {unserved:?}, which template.yaml sends to it");
    }
}

async fn served(app: &TestApp, name: &str) -> BTreeSet<String> {
    match local::router(name, &app.instance()) {
        Some(router) => routes_of(&router).await.iter().map(|(_, served)| path(served)).collect(),
        None => BTreeSet::new(),
    }
}

/// One function answers 404 for all that no other serves: `/`, what is nowhere, and what paths of others begin with. The
/// last are resources of API Gateway without a method, for which it would answer by itself.
#[tokio::test]
async fn what_no_router_serves_is_sent_to_the_function_that_says_so() {
    let (template, app) = (Template::read(), TestApp::new().await);
    let functions = template.functions();
    let all: BTreeSet<_> = functions.values().flat_map(|function| sent(*function)).map(path).collect();
    let without: Vec<_> = all.iter().flat_map(|path| beginnings(path)).filter(|path| !all.contains(*path)).collect();
    assert!(without.is_empty(), "{without:?} are resources of API Gateway without a method");
    let rest: BTreeSet<_> = ["/", "/{*}"].into_iter().map(str::to_owned).collect();
    let beginnings = all.iter().flat_map(|path| beginnings(path)).map(str::to_owned);
    let known: BTreeSet<_> = rest.iter().cloned().chain(served(&app, REST).await).chain(beginnings).collect();
    let sent: BTreeSet<_> = sent(functions[REST]).into_iter().map(path).collect();
    assert!(rest.is_subset(&sent), "{rest:?} are not all sent to `{REST}`");
    let surplus: Vec<_> = sent.difference(&known).collect();
    assert!(surplus.is_empty(), "template.yaml sends {surplus:?} to `{REST}` for no reason");
}

/// API Gateway refuses two names for the parameter of one place, and two functions for one path.
#[test]
fn a_path_has_one_function_and_its_parameters_have_one_name() {
    let template = Template::read();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for function in template.functions().into_values() {
        for written in sent(function) {
            assert!(taken.insert(path(written)), "{written} is sent twice");
            let ends = written.match_indices('/').map(|(at, _)| at).skip(1).chain([written.len()]);
            for beginning in ends.map(|end| &written[..end]) {
                let before = *names.entry(path(beginning)).or_insert(beginning);
                assert_eq!(beginning, before, "one place, two names");
            }
        }
    }
}

/// A client sees one error, whoever noticed.
#[tokio::test]
async fn the_gateway_answers_as_functions_do() {
    let (template, app) = (Template::read(), TestApp::new().await);
    let responses = template.resource("Api").properties["GatewayResponses"].as_object().unwrap();
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let unknown = send(&app.router(), "GET", "/v1/nothing", "", &[], "").await;
    let body = vec![b' '; 6 * 1024 * 1024 + 1];
    let large = send(&app.router(), "POST", "/v1/chat/completions", &key, &[], body).await;
    for (kind, reply) in [
        ("MISSING_AUTHENTICATION_TOKEN", &unknown),
        ("INVALID_SIGNATURE", &unknown),
        ("RESOURCE_NOT_FOUND", &unknown),
        ("REQUEST_TOO_LARGE", &large),
    ] {
        let (ours, theirs) = (&reply.json()["error"], envelope(&responses[kind]));
        assert_eq!((&ours["type"], &ours["code"]), (&theirs["type"], &theirs["code"]), "{kind}");
        let status = responses[kind]["StatusCode"].as_u64().unwrap_or(413);
        assert_eq!(status, u64::from(reply.status), "{kind}");
    }
}

fn envelope(response: &Value) -> Value {
    let text = response["ResponseTemplates"]["application/json"].as_str().unwrap();
    let error: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    error["error"].clone()
}

#[test]
fn a_function_is_called_in_the_mode_that_it_answers_in() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let variables = template.variables(function);
        let streams = variables.get("RESPONSE_MODE").is_some_and(|mode| mode == "stream");
        for (event, of) in function.properties["Events"].as_object().into_iter().flatten() {
            if of["Type"] != "Api" {
                continue;
            }
            let mode = &of["Properties"]["ResponseTransferMode"];
            assert_eq!(
                mode == "RESPONSE_STREAM",
                streams,
                "{event} of `{name}`, RESPONSE_MODE {:?}",
                variables.get("RESPONSE_MODE")
            );
            let waits = of["Properties"]["TimeoutInMillis"].as_u64();
            let timeout = function.properties["Timeout"].as_u64().unwrap();
            assert_eq!(waits.unwrap_or(29_000), if streams { timeout * 1_000 } else { 29_000 }, "{event} of `{name}`");
            assert!(timeout <= 900, "`{name}`");
        }
    }
}

#[test]
fn every_function_of_the_code_is_deployed() {
    let template = Template::read();
    let deployed: BTreeSet<_> = template.functions().into_keys().collect();
    let known: BTreeSet<_> = local::function_names().map(str::to_owned).collect();
    assert_eq!(deployed, known);
    for (name, function) in template.functions() {
        let property = |path: &str| function.properties.pointer(path).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(property("/CodeUri"), Some(format!("functions/{name}")));
    }
}
