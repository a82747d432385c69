//! What each function's policy allows is what its code asks for, no more and no less.
//!
//! The calls are those of a run through everything that the functions do, each on an instance of its own. A call that the
//! run makes and the template does not allow would fail in a deployment; one that the template allows and the run never makes
//! is a permission too many, or something that the run should do as well.

mod run;

use std::collections::BTreeSet;

use kit::AwsCall;
use serde_json::Value;

use super::template::{Resource, Template, list, root};

fn statements(function: Resource<'_>) -> impl Iterator<Item = &Value> {
    function.properties["Policies"]["Statement"].as_array().into_iter().flatten().map(|statement| {
        // Those of Bedrock hold on a condition.
        statement["Fn::If"].as_array().map_or(statement, |branches| &branches[1])
    })
}

/// `!GetAtt Table.Arn`, `!Sub ${Bucket.Arn}/kept/*` and the like, as calls name them.
fn resource(value: &Value) -> String {
    let text = value["Fn::GetAtt"].as_str().map(|attribute| format!("${{{attribute}}}"));
    let text = text.or_else(|| value["Fn::Sub"].as_str().map(str::to_owned)).unwrap_or_else(|| value.to_string());
    let (name, rest) = text.strip_prefix("${").and_then(|text| text.split_once(".Arn}")).unwrap_or((&text, ""));
    let rest = rest.trim_end_matches("/*");
    match name {
        "Table" => format!("table{rest}"),
        "Bucket" => format!("bucket{rest}"),
        queue => match queue
            .strip_suffix("Queue")
            .map(str::to_owned)
            .or(queue.strip_suffix("DeadLetters").map(|of| format!("{of}-dead-letters")))
        {
            Some(queue) => format!("queue/{}", queue.to_lowercase()),
            None => text.clone(),
        },
    }
}

/// What a function may do with stores and queues.
fn allowed(name: &str, function: Resource<'_>) -> BTreeSet<AwsCall> {
    let mut allowed = BTreeSet::new();
    for statement in statements(function) {
        assert_eq!(statement["Effect"], "Allow", "`{name}`");
        for action in list(&statement["Action"]) {
            let action = action.as_str().unwrap();
            assert!(!action.contains('*'), "`{name}` may {action}: name the actions");
            if ["dynamodb:", "s3:", "sqs:"].iter().any(|service| action.starts_with(service)) {
                allowed.extend(list(&statement["Resource"]).into_iter().map(|on| AwsCall {
                    function: name.to_owned(),
                    action: action.to_owned(),
                    resource: resource(on),
                }));
            }
        }
    }
    allowed
}

/// What Lambda does in the name of a worker's role: take messages of its queue.
fn calls_of_the_platform(template: &Template) -> BTreeSet<AwsCall> {
    let mut calls = BTreeSet::new();
    for mapping in template.of_kind("AWS::Lambda::EventSourceMapping") {
        let worker = mapping.properties["FunctionName"]["Ref"].as_str().unwrap();
        for action in ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"] {
            calls.insert(AwsCall {
                function: worker.trim_end_matches("Function").to_lowercase(),
                action: format!("sqs:{action}"),
                resource: resource(&mapping.properties["EventSourceArn"]),
            });
        }
    }
    calls
}

#[track_caller]
fn none<'a>(what: &str, calls: impl Iterator<Item = &'a AwsCall>) {
    let lines: String =
        calls.map(|call| format!("\n  {}: {} on {}", call.function, call.action, call.resource)).collect();
    assert!(lines.is_empty(), "{what}:{lines}");
}

#[tokio::test(start_paused = true)]
async fn policies_allow_what_the_code_asks_for_and_nothing_else() {
    let template = Template::read();
    let allowed: BTreeSet<_> =
        template.functions().iter().flat_map(|(name, function)| allowed(name, *function)).collect();
    let mut made = run::everything().await;
    made.extend(calls_of_the_platform(&template));
    none("functions do what their policies in template.yaml do not allow", made.difference(&allowed));
    none("policies in template.yaml allow what nothing does", allowed.difference(&made));
}

/// Secrets are read when a function starts: the admin key by those that are told its name, keys of providers by those that
/// link the providers.
#[test]
fn secrets_and_models_of_bedrock_are_for_those_who_call_providers() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let resources_of = |action: &str| -> Vec<String> {
            let of =
                statements(function).filter(|statement| list(&statement["Action"]).iter().any(|one| *one == action));
            of.flat_map(|statement| list(&statement["Resource"])).map(Value::to_string).collect()
        };
        let secrets = resources_of("secretsmanager:GetSecretValue");
        let reads = |what: &str| secrets.iter().any(|secret| secret.contains(what));
        let manifest = std::fs::read_to_string(root().join(format!("functions/{name}/Cargo.toml"))).unwrap();
        let calls_providers = manifest.lines().any(|line| line.starts_with("providers"));
        assert_eq!(reads("${ProviderSecrets}"), calls_providers, "`{name}`");
        assert_eq!(!resources_of("bedrock:InvokeModel").is_empty(), calls_providers, "`{name}`");
        let is_told = template.variables(function).contains_key("ADMIN_KEY_SECRET");
        assert_eq!(reads("AdminKey"), is_told, "`{name}`");
    }
}
