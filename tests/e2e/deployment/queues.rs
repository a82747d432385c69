//! Every queue has its dead letters and hides a message for long enough; every worker says which messages failed.

use std::collections::BTreeSet;

use embedded::QUEUES;
use serde_json::json;

use super::template::{Resource, Template};

fn reference(value: &serde_json::Value) -> &str {
    let name = value["Fn::GetAtt"].as_str().and_then(|attribute| attribute.strip_suffix(".Arn"));
    name.or(value["Ref"].as_str()).unwrap_or_else(|| panic!("{value} refers to nothing"))
}

/// The queue whose dead letters these are.
fn source<'a>(template: &'a Template, dead_letters: &str) -> Option<Resource<'a>> {
    template.of_kind("AWS::SQS::Queue").find(|queue| {
        let policy = &queue.properties["RedrivePolicy"];
        !policy.is_null() && reference(&policy["deadLetterTargetArn"]) == dead_letters
    })
}

#[test]
fn every_queue_has_dead_letters_or_is_some() {
    let template = Template::read();
    for queue in template.of_kind("AWS::SQS::Queue") {
        let fed = &queue.properties["RedrivePolicy"];
        if fed.is_null() {
            assert!(source(&template, queue.name).is_some(), "{} has no dead letters and holds none", queue.name);
            assert_eq!(queue.properties["MessageRetentionPeriod"], 1_209_600, "{}: two weeks, the most", queue.name);
        }
    }
}

#[test]
fn a_message_is_hidden_for_six_times_as_long_as_its_worker_may_take() {
    let template = Template::read();
    let mut fed = BTreeSet::new();
    for mapping in template.of_kind("AWS::Lambda::EventSourceMapping") {
        let queue = template.resource(reference(&mapping.properties["EventSourceArn"]));
        let worker = template.resource(reference(&mapping.properties["FunctionName"]));
        let hidden = queue.properties["VisibilityTimeout"].as_u64().unwrap();
        let timeout = worker.properties["Timeout"].as_u64().unwrap();
        assert!(hidden >= 6 * timeout, "{}: {hidden} s, {} may take {timeout} s", queue.name, worker.name);
        assert_eq!(mapping.properties["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{}", mapping.name);
        let most = mapping.properties["ScalingConfig"]["MaximumConcurrency"]["Ref"].as_str();
        let most = template.parameter(most.unwrap_or_else(|| panic!("{} has no parameter for it", mapping.name)));
        assert_eq!((&most["MinValue"], &most["MaxValue"]), (&json!(2), &json!(1_000)), "{}: Lambda's", mapping.name);
        fed.insert(queue.name);
    }
    let queues: BTreeSet<_> = template
        .of_kind("AWS::SQS::Queue")
        .filter(|queue| !queue.properties["RedrivePolicy"].is_null())
        .map(|queue| queue.name)
        .collect();
    assert_eq!(fed, queues, "queues and those that feed a worker");
}

/// What runs locally is what is deployed.
#[test]
fn local_queues_have_the_template_s_settings() {
    let template = Template::read();
    for settings in QUEUES {
        let Some((_, most)) = settings.dead_letters else { continue };
        let name = format!("{}{}Queue", settings.name[..1].to_uppercase(), &settings.name[1..]);
        let queue = template.resource(&name).properties;
        assert_eq!(queue["VisibilityTimeout"], settings.visibility.as_secs(), "{name}");
        assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], most, "{name}");
    }
}
