//! Reading a line of metrics as CloudWatch does.

use std::collections::BTreeSet;

use kit::START_MS;
use serde_json::Value;

/// What CloudWatch takes of one line.
const MAX_DIMENSIONS: usize = 30;
const MAX_METRICS: usize = 100;

/// The whole line as text: its dimensions, then each metric by its name with value, unit and sets of dimensions. Times are
/// `_`.
///
/// Fails if the line is not in the embedded metric format: a directive names a member that does not exist, or of the wrong
/// type, or a member is named by no directive.
pub(super) fn shown(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["_aws"]["Timestamp"], START_MS);
    let mut named = BTreeSet::from(["_aws".to_owned()]);
    let mut metrics = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "weir-test");
        let sets = directive["Dimensions"].as_array().unwrap();
        let sets: Vec<String> = sets.iter().map(|set| dimensions(&line, set, &mut named)).collect();
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            assert!(named.insert(name.to_owned()), "{name} is in two directives");
            let value = line[name].as_f64().unwrap();
            let unit = metric["Unit"].as_str().unwrap_or("None");
            let value = if unit == "Milliseconds" && value < 60_000.0 { "_".to_owned() } else { value.to_string() };
            metrics.push(format!("{name} {value} {unit} {}", sets.join(" ")));
        }
    }
    metrics.sort_unstable();
    assert!((1..=MAX_METRICS).contains(&metrics.len()));
    let members: BTreeSet<String> = line.as_object().unwrap().keys().cloned().collect();
    assert_eq!(named, members, "members that no directive names");
    let of = ["function", "model", "outcome"].map(|name| line[name].as_str().unwrap_or("-"));
    format!("{} | {}", of.join(" "), metrics.join(" | "))
}

fn dimensions(line: &Value, set: &Value, named: &mut BTreeSet<String>) -> String {
    let names: Vec<&str> = set.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.len() <= MAX_DIMENSIONS);
    for name in &names {
        let value = line[*name].as_str().unwrap();
        assert!((1..=250).contains(&value.len()) && value.is_ascii(), "{name} is {value:?}");
        named.insert((*name).to_owned());
    }
    format!("[{}]", names.join(","))
}
