//! What each function's policy allows is what its code asks for, no more and no less. What it denies, no code asks for.
//!
//! The calls are those of a run through everything that the functions do, each on an instance of its own. A call that the
//! run makes and the template does not allow would fail in a deployment; one that the template allows and the run never makes
//! is a permission too many, or something that the run should do as well.

mod run;

use std::collections::BTreeSet;

use kit::{AwsCall, TableWrite};
use serde_json::{Value, json};

use super::template::{Resource, Template, chosen, list, root};

/// `!GetAtt Table.Arn`, `!Sub ${Bucket.Arn}/kept/*` and the like, as calls name them: of the stack's own table and bucket.
fn resource(value: &Value) -> String {
    let value = chosen(value);
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

/// What a call must name to be one that a policy allows: `list/kept` for the condition `kept/*` of a list.
fn resources(statement: &Value, action: &str) -> Vec<String> {
    if action != "s3:ListBucket" {
        return list(&statement["Resource"]).into_iter().map(resource).collect();
    }
    let prefixes = list(&statement["Condition"]["StringLike"]["s3:prefix"]);
    prefixes.into_iter().map(|prefix| format!("list/{}", prefix.as_str().unwrap().trim_end_matches("/*"))).collect()
}

/// Whether a policy that names `allowed` allows a call of `made`: of the same resource, or of a folder in it.
fn covers(allowed: &AwsCall, made: &AwsCall) -> bool {
    let rest = made.resource.strip_prefix(&*allowed.resource);
    allowed.function == made.function
        && allowed.action == made.action
        && rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && !allowed.resource.starts_with("table")))
}

/// What a function may do with stores and queues.
fn allowed(template: &Template, name: &str, function: Resource<'_>) -> BTreeSet<AwsCall> {
    let mut allowed = BTreeSet::new();
    for statement in template.statements(function) {
        if statement["Effect"] != "Allow" {
            continue;
        }
        for action in list(&statement["Action"]) {
            let action = action.as_str().unwrap();
            assert!(!action.contains('*'), "`{name}` may {action}: name the actions");
            if ["dynamodb:", "s3:", "sqs:"].iter().any(|service| action.starts_with(service)) {
                allowed.extend(resources(statement, action).into_iter().map(|resource| AwsCall {
                    function: name.to_owned(),
                    action: action.to_owned(),
                    resource,
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
        template.functions().iter().flat_map(|(name, function)| allowed(&template, name, *function)).collect();
    let run = run::everything().await;
    let mut made = run.all();
    made.extend(calls_of_the_platform(&template));
    let not_allowed = made.iter().filter(|made| !allowed.iter().any(|allowed| covers(allowed, made)));
    none("functions do what their policies in template.yaml do not allow", not_allowed);
    // Where all calls are in deeper folders, the policy has to name those.
    none("policies in template.yaml allow what nothing does", allowed.difference(&made));
    for write in run.table_writes() {
        let function = template.functions()[&write.function];
        let is_allowed = template.statements(function).iter().any(|statement| allows(statement, &write));
        assert!(is_allowed, "{write:?} is in no partition that a statement allows");
        let denied = template.statements(function).into_iter().find(|statement| denies(statement, &write));
        assert!(denied.is_none(), "{write:?} is denied by {denied:?}");
    }
    let writes_of_projects: BTreeSet<_> = run
        .table_writes()
        .into_iter()
        .filter(|write| write.partition.starts_with(PROJECT))
        .map(|w| w.function)
        .collect();
    let may_write =
        template.functions().into_keys().filter(|name| may_write_items_of_projects(&template, name)).collect();
    assert_eq!(writes_of_projects, may_write, "those that write items of projects, beside those that may");
}

const PROJECT: &str = "PROJECT#";

fn may_write_items_of_projects(template: &Template, function: &str) -> bool {
    let statements = template.statements(template.functions()[function]);
    ["Put", "Update", "Delete"].into_iter().any(|action| {
        let action = format!("dynamodb:{action}Item");
        let write = TableWrite { function: function.to_owned(), action, partition: format!("{PROJECT}p") };
        statements.iter().any(|statement| allows(statement, &write))
            && !statements.iter().any(|statement| denies(statement, &write))
    })
}

/// Whether a statement denies a write. Of a request without partition keys it denies nothing: no write is one.
fn denies(statement: &Value, write: &TableWrite) -> bool {
    let prefixes = list(&statement["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]);
    let matches = |pattern: &&Value| match pattern.as_str().unwrap().split_once('*') {
        Some((prefix, rest)) => rest.is_empty() && write.partition.starts_with(prefix),
        None => write.partition == **pattern,
    };
    statement["Effect"] == "Deny"
        && list(&statement["Action"]).iter().any(|action| **action == write.action)
        && prefixes.iter().any(matches)
}

/// Whether a statement allows a write. One may name the partitions that it is for.
fn allows(statement: &Value, write: &TableWrite) -> bool {
    let only = list(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
    let is_for = |pattern: &&Value| write.partition.starts_with(pattern.as_str().unwrap().trim_end_matches('*'));
    statement["Effect"] == "Allow"
        && list(&statement["Action"]).iter().any(|action| **action == write.action)
        && (statement["Condition"].is_null() || only.iter().any(is_for))
}

/// A key admits its bearer to a project, so that a function that could write one could be made to admit anyone. No function
/// changes or deletes an entry of the audit log. The sweep adds one at the end of a purge.
#[test]
fn only_admin_may_write_keys_the_list_of_projects_and_the_audit_log() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let statements = template.statements(function);
        let writes = ["Put", "Update", "Delete"].map(|action| format!("dynamodb:{action}Item"));
        for action in writes {
            for partition in ["KEY#0f", "KEY#CHECK", "PROJECTS", "AUDIT"] {
                let write =
                    TableWrite { function: name.clone(), action: action.clone(), partition: partition.to_owned() };
                let allowed = statements.iter().any(|statement| allows(statement, &write));
                let denied = statements.iter().any(|statement| denies(statement, &write));
                let changes_entry = partition == "AUDIT" && action != "dynamodb:PutItem";
                let may_write = name == "admin" || (name == "sweep" && partition == "AUDIT");
                assert_eq!(allowed && !denied, may_write && allowed && !changes_entry, "{write:?}");
            }
        }
    }
}

/// SAM's own roles may make log groups, of any name; a bound or a key that an operator names must hold for all.
#[test]
fn each_function_has_a_role_of_its_own_that_writes_its_own_log() {
    let template = Template::read();
    let mut roles = BTreeSet::new();
    for (name, function) in template.functions() {
        let role = template.role(function);
        assert!(roles.insert(role.name), "{} is the role of two functions", role.name);
        assert!(role.properties["ManagedPolicyArns"].is_null(), "{} has a policy that is not written here", role.name);
        assert_eq!(chosen(&role.properties["PermissionsBoundary"]), &json!({"Ref": "PermissionsBoundary"}), "`{name}`");
        let statements = template.statements(function);
        let logs = statements.iter().filter(|statement| statement["Action"].to_string().contains("logs:"));
        let logs: Vec<_> = logs.map(|statement| (&statement["Action"], &statement["Resource"])).collect();
        let group = function.properties["LoggingConfig"]["LogGroup"]["Ref"].as_str().unwrap();
        let actions = json!(["logs:CreateLogStream", "logs:PutLogEvents"]);
        assert_eq!(logs, [(&actions, &json!({"Fn::GetAtt": format!("{group}.Arn")}))], "`{name}`");
    }
}

/// A service that encrypts with the operator's key asks for it in the name of the function.
#[test]
fn the_key_of_an_operator_may_be_used_through_each_service_that_has_data() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let statements = template.statements(function);
        let key = statements.iter().find(|statement| statement["Resource"] == json!({"Ref": "KmsKeyArn"}));
        let key = key.unwrap_or_else(|| panic!("`{name}` may not use the key"));
        let through = key["Condition"]["StringEquals"]["kms:ViaService"].to_string();
        let actions = statements.iter().flat_map(|statement| list(&statement["Action"]));
        for service in actions.filter_map(|action| action.as_str()?.split_once(':')).map(|(service, _)| service) {
            let has_data = ["dynamodb", "s3", "secretsmanager", "sqs"].contains(&service);
            assert!(
                !has_data || through.contains(&format!("{service}.${{AWS::Region}}")),
                "`{name}` through {service}"
            );
        }
    }
}

/// The functions that are told the admin key's name may read that key. The functions that connect to providers may read
/// the providers' keys and call Bedrock.
#[test]
fn secrets_and_models_of_bedrock_are_for_those_who_call_providers() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let resources_of = |action: &str| -> Vec<String> {
            let of = template
                .statements(function)
                .into_iter()
                .filter(|statement| list(&statement["Action"]).iter().any(|one| *one == action));
            of.flat_map(|statement| list(&statement["Resource"])).map(Value::to_string).collect()
        };
        let secrets = resources_of("secretsmanager:GetSecretValue");
        let reads = |what: &str| secrets.iter().any(|secret| secret.contains(what));
        let main = std::fs::read_to_string(root().join(format!("functions/{name}/src/main.rs"))).unwrap();
        let calls_providers = main.contains(".providers(");
        assert_eq!(reads("ProviderSecrets"), calls_providers, "`{name}`");
        assert_eq!(!resources_of("bedrock:InvokeModel").is_empty(), calls_providers, "`{name}`");
        let is_told = template.variables(function).contains_key("ADMIN_KEY_SECRET");
        assert_eq!(reads("AdminKey"), is_told, "`{name}`");
    }
}
