//! The variables of each function are those that `Config` reads, and what each needs is there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::edge::config::Config;

use super::template::{Template, list, root};

/// Read by `lambda_http` and by OpenTelemetry's SDK; read by no program, to start new ones when it changes.
const READ_BY_OTHERS: [&str; 3] = ["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "OTEL_EXPORTER_OTLP_HEADERS", "REVISION"];

/// For emulators, and for collectors that want more than an address.
const LEFT_OUT: [&str; 5] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "WEBHOOKS_PERMIT_LOOPBACK",
];

/// The variables that `Config` reads, seen while it reads them.
fn read_by_config() -> BTreeSet<&'static str> {
    let seen = RefCell::new(BTreeSet::new());
    let lookup = |name| {
        seen.borrow_mut().insert(name);
        ["TABLE_NAME", "BUCKET_NAME"].contains(&name).then(|| "name".to_owned())
    };
    Config::read(lookup).unwrap();
    seen.into_inner()
}

const OF_ALL: [&str; 4] = ["TABLE_NAME", "LOG_LEVEL", "METRICS_NAMESPACE", "REVISION"];

const OF_THOSE_THAT_SERVE: [&str; 3] = ["ALLOWED_ORIGINS", "BASE_PATH", "RESPONSE_MODE"];

#[test]
fn variables_of_the_template_are_read_and_those_of_config_are_set() {
    let template = Template::read();
    let read = read_by_config();
    let known: BTreeSet<&str> = read.iter().copied().chain(READ_BY_OTHERS).collect();
    let mut set = BTreeSet::new();
    for (name, function) in template.functions() {
        let variables = template.variables(function);
        for variable in variables.keys() {
            assert!(known.contains(&**variable), "`{name}` is given {variable}, which nothing reads");
        }
        for needed in OF_ALL {
            assert!(variables.contains_key(needed), "`{name}` is not given {needed}");
        }
        let serves = function.properties["Events"].as_object().into_iter().flatten().any(|(_, of)| of["Type"] == "Api");
        for variable in OF_THOSE_THAT_SERVE {
            assert_eq!(variables.contains_key(variable), serves, "{variable} of `{name}`");
        }
        set.extend(variables.into_keys());
    }
    let unset: BTreeSet<_> = known.into_iter().filter(|variable| !set.contains(*variable)).collect();
    assert_eq!(unset, BTreeSet::from(LEFT_OUT), "what `Config` reads and no function is given");
}

/// The models of Bedrock are beside those of the models file, for the functions that may read it.
#[test]
fn functions_that_read_models_are_told_of_bedrock() {
    let template = Template::read();
    let readers: Vec<_> = list(&template.resource("ReadModels").properties["Roles"]);
    for (name, function) in template.functions() {
        let reads = readers.contains(&&json!({"Ref": template.role(function).name}));
        assert_eq!(template.variables(function).contains_key("BEDROCK"), reads, "`{name}`");
    }
}

/// The documentation of `Config` is its operator's manual.
#[test]
fn every_variable_is_documented() {
    let source = std::fs::read_to_string(root().join("shared/src/edge/config.rs")).unwrap();
    for variable in read_by_config() {
        let documented =
            source.lines().any(|line| line.starts_with("/// |") && line.contains(&format!("`{variable}`")));
        assert!(documented, "{variable} is not in the table above `Config`");
    }
}

#[test]
fn every_function_has_a_log_that_ends_and_an_alarm() {
    let template = Template::read();
    let alarms = Template::parse(&std::fs::read_to_string(root().join("infra/alarms.yaml")).unwrap());
    let watched: BTreeSet<&str> =
        alarms.of_kind("AWS::CloudWatch::Alarm").filter_map(|alarm| function_of(alarm.properties)).collect();
    let given = template.resource("AlarmsStack").properties["Parameters"].as_object().unwrap();
    for (name, function) in template.functions() {
        let group = function.properties["LoggingConfig"]["LogGroup"]["Ref"].as_str();
        let group = group.unwrap_or_else(|| panic!("`{name}` has no log group of its own"));
        let retention = &template.resource(group).properties["RetentionInDays"];
        assert_eq!(retention, &json!({"Ref": "LogRetentionDays"}), "`{name}`");
        let parameter = given.iter().find(|(_, value)| **value == json!({"Ref": function.name}));
        let parameter = parameter.map_or("", |(parameter, _)| parameter);
        assert!(watched.contains(parameter), "no alarm of infra/alarms.yaml watches {}", function.name);
    }
}

/// The parameter that names the function which an alarm is about.
fn function_of(alarm: &Value) -> Option<&str> {
    let dimensions = alarm["Dimensions"].as_array()?;
    dimensions.iter().find(|dimension| dimension["Name"] == "FunctionName")?["Value"]["Ref"].as_str()
}
