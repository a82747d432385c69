"""Functions write logs into groups that the stack made, and make none: a line written after `sam delete` would make the group
again, and the next stack of the name could not."""

import fnmatch

import pytest

# Managed policies of AWS that roles here may have, and whether they let a role make log groups.
MANAGED = {
    "AWSLambdaBasicExecutionRole": True,
    "AWSLambdaVPCAccessExecutionRole": True,
    "AWSLambdaSQSQueueExecutionRole": True,
    "AmazonAPIGatewayPushToCloudWatchLogs": True,
    "AWSXRayDaemonWriteAccess": False,
    "AWSCodeDeployRoleForLambda": False,
    "AWSCodeDeployRoleForLambdaLimited": False,
}
ACTION = "logs:CreateLogGroup"


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(statement, action):
    """Whether the actions of a statement include this one."""
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in listed(statement.get("Action", []))) or (
        "NotAction" in statement and not any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in listed(statement["NotAction"]))
    )


def statements(properties):
    for policy in [*properties.get("Policies", []), properties]:
        yield from listed(policy.get("PolicyDocument", {}).get("Statement", []))


def makes_log_groups(role):
    """Whether a role, or a policy of its own, allows it."""
    own = list(statements(role))
    if any(each["Effect"] == "Deny" and matches(each, ACTION) and listed(each["Resource"]) == ["*"] and "Condition" not in each for each in own):
        return False
    return any(each["Effect"] == "Allow" and matches(each, ACTION) for each in own) or any(managed(arn) for arn in role.get("ManagedPolicyArns", []))


def managed(arn):
    """Whether a managed policy allows it. Those that the stack makes are looked at where they are made."""
    if "Ref" in arn:
        return False
    name = str(arn).rpartition("/")[2].strip("'}]")
    assert name in MANAGED, f"whether {name} may make log groups is not known: add it to MANAGED"
    return MANAGED[name]


def is_function(role):
    trusted = listed(role["AssumeRolePolicyDocument"]["Statement"])
    return any("lambda.amazonaws.com" in listed(each["Principal"].get("Service", [])) for each in trusted)


def test_no_function_makes_log_groups(deployments):
    problems = set()
    for deployment in deployments:
        for name, resource in deployment.resources.items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role" and is_function(properties) and makes_log_groups(properties):
                problems.add(f"{deployment.name}: the role {name} may make log groups")
            if resource["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy") and makes_log_groups(properties):
                problems.add(f"{deployment.name}: the policy {name} may make log groups")
    assert not problems, "\n".join(sorted(problems))


ALLOW = {"Effect": "Allow", "Resource": "*"}


@pytest.mark.parametrize(
    "role, allowed",
    [
        ({"ManagedPolicyArns": [{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}]}, True),
        ({"ManagedPolicyArns": [{"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"]]}]}, True),
        ({"ManagedPolicyArns": ["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess", {"Ref": "ReadModels"}]}, False),
        ({"Policies": [{"PolicyDocument": {"Statement": [{**ALLOW, "Action": "logs:*"}]}}]}, True),
        ({"Policies": [{"PolicyDocument": {"Statement": {**ALLOW, "Action": ["s3:GetObject", "logs:createloggroup"]}}}]}, True),
        ({"Policies": [{"PolicyDocument": {"Statement": [{**ALLOW, "NotAction": "iam:*"}]}}]}, True),
        ({"Policies": [{"PolicyDocument": {"Statement": [{**ALLOW, "Action": ["logs:CreateLogStream", "logs:PutLogEvents"]}]}}]}, False),
        ({"PolicyDocument": {"Statement": [{**ALLOW, "Action": "*"}]}}, True),
        (
            {
                "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
                "Policies": [{"PolicyDocument": {"Statement": [{"Effect": "Deny", "Action": ACTION, "Resource": "*"}]}}],
            },
            False,
        ),
    ],
)
def test_roles_that_make_log_groups_are_found(role, allowed):
    assert makes_log_groups(role) is allowed
