//! Every route of every router has a method of its function in the template, in a mode that the function answers in, and
//! the reverse.

use std::collections::BTreeSet;

use kit::{TestApp, routes_of};
use serde_json::Value;

use super::template::{Resource, Template};

/// The routes of a function's events: `POST /v1/responses/{}/cancel`.
fn methods(function: Resource<'_>) -> BTreeSet<String> {
    let events = function.properties["Events"].as_object().into_iter().flatten();
    let methods = events.filter(|(_, event)| event["Type"] == "Api").map(|(_, event)| &event["Properties"]);
    methods.map(|method| route(method["Method"].as_str().unwrap(), method["Path"].as_str().unwrap())).collect()
}

/// A route without the names of its parameters, which are each side's own. `{x+}` and `{*x}` both take slashes.
fn route(method: &str, path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{') {
        Some(name) if name.starts_with('*') || name.ends_with("+}") => "{*}".to_owned(),
        Some(_) => "{}".to_owned(),
        None => part.to_owned(),
    };
    format!("{method} {}", path.split('/').map(part).collect::<Vec<_>>().join("/"))
}

#[tokio::test]
async fn what_a_router_serves_is_what_the_template_sends_to_it() {
    let (template, app) = (Template::read(), TestApp::new().await);
    for (name, function) in template.functions() {
        let mut served = BTreeSet::new();
        if let Some(router) = local::router(&name, &app.instance()) {
            served.extend(routes_of(&router).await.iter().map(|(method, path)| route(method, path)));
        }
        let sent = methods(function);
        let unsent: Vec<_> = served.difference(&sent).collect();
        // Every function answers `/healthz`, locally and where a load balancer asks; the deployment needs it once.
        let unserved: Vec<_> = sent.difference(&served).filter(|route| *route != "GET /healthz").collect();
        assert!(unsent.is_empty(), "template.yaml has no method of {} for {unsent:?}", function.name);
        assert!(unserved.is_empty(), "the router of `{name}` has no {unserved:?}, which template.yaml sends to it");
    }
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
