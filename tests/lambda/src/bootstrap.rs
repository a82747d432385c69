//! The AWS services that a binary can call, and those that the template permits.

use std::collections::BTreeSet;
use std::fmt;

use saphyr::{LoadableYamlNode as _, ScanError, YamlOwned};

/// A service for which a binary can have a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    DynamoDb,
    S3,
    Sqs,
    SecretsManager,
    Bedrock,
}

impl Service {
    const ALL: [Self; 5] = [Self::DynamoDb, Self::S3, Self::Sqs, Self::SecretsManager, Self::Bedrock];

    /// Returns the prefix of the service's actions in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::SecretsManager => "secretsmanager",
            Self::Bedrock => "bedrock",
        }
    }

    /// Returns a text from the endpoint rules of the service's client. Only a binary that creates such a client
    /// contains it.
    fn trace(self) -> &'static [u8] {
        match self {
            Self::DynamoDb => b"https://dynamodb-fips.",
            Self::S3 => b"S3 Object Lambda does not support",
            Self::Sqs => b"https://sqs-fips.",
            Self::SecretsManager => b"https://secretsmanager-fips.",
            Self::Bedrock => b"https://bedrock-runtime-fips.",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the services for which a binary has a client.
#[must_use]
pub fn linked(binary: &[u8]) -> BTreeSet<Service> {
    let has = |trace: &[u8]| binary.windows(trace.len()).any(|window| window == trace);
    Service::ALL.into_iter().filter(|service| has(service.trace())).collect()
}

/// Returns the services that `template.yaml` permits a function to call, by the policies of its role and by managed policies
/// that are attached to it. The role of the function `chat` is `ChatFunctionRole`.
///
/// # Errors
/// If the template is not YAML.
pub fn permitted(template: &str, function: &str) -> Result<BTreeSet<Service>, ScanError> {
    let documents = YamlOwned::load_from_str(template)?;
    let role = format!("{}functionrole", function.replace('-', ""));
    let mut actions = Vec::new();
    for (name, resource) in members(documents.first().and_then(|document| member(document, "Resources"))) {
        let is_role = name.eq_ignore_ascii_case(&role);
        let attached = member(resource, "Properties").and_then(|properties| member(properties, "Roles"));
        let attached = texts(attached).iter().any(|name| name.eq_ignore_ascii_case(&role));
        if is_role || attached {
            actions_below(resource, &mut actions);
        }
    }
    let permits = |service: &Service| actions.iter().any(|action| action.split(':').next() == Some(service.name()));
    Ok(Service::ALL.into_iter().filter(permits).collect())
}

/// Collects the actions that a part of a template allows, wherever they are.
fn actions_below<'a>(node: &'a YamlOwned, actions: &mut Vec<&'a str>) {
    if member(node, "Effect").and_then(YamlOwned::as_str) == Some("Allow") {
        actions.extend(texts(member(node, "Action")));
    }
    match node {
        YamlOwned::Mapping(members) => members.values().for_each(|value| actions_below(value, actions)),
        YamlOwned::Sequence(values) => values.iter().for_each(|value| actions_below(value, actions)),
        YamlOwned::Tagged(_, value) => actions_below(value, actions),
        _ => {}
    }
}

fn members(node: Option<&YamlOwned>) -> impl Iterator<Item = (&str, &YamlOwned)> {
    let members = node.and_then(YamlOwned::as_mapping).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str()?, value)))
}

fn member<'a>(node: &'a YamlOwned, name: &str) -> Option<&'a YamlOwned> {
    members(Some(node)).find_map(|(known, value)| (known == name).then_some(value))
}

/// Returns a text, or those of a list. A reference (`!Ref Name`) is the name.
fn texts(node: Option<&YamlOwned>) -> Vec<&str> {
    match node {
        Some(YamlOwned::Sequence(values)) => values.iter().flat_map(|value| texts(Some(value))).collect(),
        Some(YamlOwned::Tagged(_, value)) => texts(Some(value)),
        Some(one) => one.as_str().into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "
Resources:
  OneFunctionRole:
    Type: AWS::IAM::Role
    Properties:
      # Not s3:GetObject.
      Policies:
        - PolicyName: one
          PolicyDocument:
            Statement:
              - &shared {Effect: Allow, Action: [dynamodb:GetItem, sqs:SendMessage], Resource: 'arn:aws:secretsmanager:x'}
              - {Effect: Deny, Action: secretsmanager:GetSecretValue}
  TwoFunctionRole:
    Type: AWS::IAM::Role
    Properties:
      Policies: [{PolicyDocument: {Statement: [*shared, !If [C, {Effect: Allow, Action: bedrock:InvokeModel}, !Ref N]]}}]
  ReadModels:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref TwoFunctionRole]
      PolicyDocument: {Statement: [{Effect: Allow, Action: s3:GetObject}]}
";

    #[test]
    fn a_policy_permits_the_services_whose_actions_it_names() {
        assert_eq!(permitted(TEMPLATE, "one").unwrap(), BTreeSet::from([Service::DynamoDb, Service::Sqs]));
        let two = BTreeSet::from([Service::DynamoDb, Service::S3, Service::Sqs, Service::Bedrock]);
        assert_eq!(permitted(TEMPLATE, "two").unwrap(), two);
        assert_eq!(permitted(TEMPLATE, "three").unwrap(), BTreeSet::new());
    }

    #[test]
    fn finds_the_clients_of_a_binary() {
        // The binary of this test has the kit's client of DynamoDB.
        let binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(linked(&binary).contains(&Service::DynamoDb));
        assert_eq!(linked(b"nothing"), BTreeSet::new());
    }
}
