//! The AWS services that a binary can call, and those that the template permits.

use std::collections::BTreeSet;
use std::fmt;

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

/// Returns the services that `template.yaml` permits a function to call, by its policies and by managed policies of its
/// role.
///
/// Reads lines, not YAML: resources must be indented by two, and actions must be named in full.
#[must_use]
pub fn permitted(template: &str, function: &str) -> BTreeSet<Service> {
    let mut services = BTreeSet::new();
    for resource in resources(template) {
        let is_function = resource.contains(&format!("CodeUri: functions/{function}\n"));
        let is_granted = resource.contains("Type: AWS::IAM::ManagedPolicy") && names_role(resource, function);
        if is_function || is_granted {
            services.extend(Service::ALL.into_iter().filter(|service| permits(resource, *service)));
        }
    }
    services
}

/// Returns the text of each resource of a template.
fn resources(template: &str) -> impl Iterator<Item = &str> {
    let mut begins = vec![];
    let mut at = 0;
    for line in template.split_inclusive('\n') {
        if line.starts_with("  ") && line[2..].starts_with(|first: char| first.is_ascii_alphanumeric()) {
            begins.push(at);
        }
        at += line.len();
    }
    begins.push(template.len());
    begins.windows(2).map(|pair| &template[pair[0]..pair[1]]).collect::<Vec<_>>().into_iter()
}

fn names_role(resource: &str, function: &str) -> bool {
    resource.to_lowercase().contains(&format!("!ref {function}functionrole"))
}

/// Whether a resource names an action of the service, like `s3:GetObject`.
fn permits(resource: &str, service: Service) -> bool {
    let prefix = format!("{}:", service.name());
    let code = resource.lines().filter_map(|line| line.split('#').next());
    code.flat_map(|line| line.split([' ', '[', ',', '"'])).any(|word| {
        word.strip_prefix(&prefix).is_some_and(|action| action.starts_with(|first: char| first.is_ascii_uppercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "
Resources:
  OneFunction:
    Properties:
      CodeUri: functions/one
      # Not s3:GetObject.
      Policies:
        - Action: [dynamodb:GetItem, sqs:SendMessage]
          Resource: arn:aws:secretsmanager:us-east-1:1:secret:x
  TwoFunction:
    Properties:
      CodeUri: functions/two
  ReadModels:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref TwoFunctionRole]
      Action: s3:GetObject
";

    #[test]
    fn a_policy_permits_the_services_whose_actions_it_names() {
        assert_eq!(permitted(TEMPLATE, "one"), BTreeSet::from([Service::DynamoDb, Service::Sqs]));
        assert_eq!(permitted(TEMPLATE, "two"), BTreeSet::from([Service::S3]));
        assert_eq!(permitted(TEMPLATE, "three"), BTreeSet::new());
    }

    #[test]
    fn finds_the_clients_of_a_binary() {
        // The binary of this test has the kit's client of DynamoDB.
        let binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(linked(&binary).contains(&Service::DynamoDb));
        assert_eq!(linked(b"nothing"), BTreeSet::new());
    }
}
