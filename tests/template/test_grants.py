"""Which secrets roles may read and which models they may call, decided as IAM does for given parameters."""

import fnmatch

import pytest
from conditions import PSEUDO, examples, value
from conftest import defaults
from resolve import resolved
from stacks import Stack
from test_roles import listed, statements

ACCOUNT, REGION = PSEUDO["AWS::AccountId"], PSEUDO["AWS::Region"]
# In which Secrets Manager ends every ARN.
SIX = "aB3dE6"
CALLS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")


def grants(root, action, **parameters):
    """For each role that may do this: the patterns of what it is for, and its conditions."""
    parameters = {name: str(meant.get("Default", "")) for name, meant in root.parameters.items()} | defaults(root) | parameters
    found = {}
    for name, role in Stack("test", resolved(root.template, parameters)).of_type("AWS::IAM::Role").items():
        for statement in statements(role["Properties"]):
            if statement["Effect"] == "Allow" and action in listed(statement["Action"]) and "AdminKey" not in str(statement["Resource"]):
                patterns = [each for one in listed(statement["Resource"]) for each in listed(value(root.template, one, parameters))]
                before, _ = found.get(name, ([], None))
                conditions = value_of(root.template, statement.get("Condition", {}), parameters)
                found[name] = (before + patterns, conditions)
    return found


def value_of(template, conditions, parameters):
    return {test: {key: value(template, each, parameters) for key, each in of.items()} for test, of in conditions.items()}


def permits(patterns, arn):
    # Names have no brackets, which fnmatch would read as a class.
    return any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns)


# --- secrets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, readable, others",
    [
        ("weir/*", ["weir/openai", "weir/a/b"], ["weir", "weird/openai", "openai"]),
        ("openai-key", ["openai-key"], ["openai-key2", "openai", "openai-key-spare", "my/openai-key", "openai-key/a"]),
        ("openai-key,team/*", ["openai-key", "team/openai"], ["openai-key-spare", "team", "other"]),
    ],
)
def test_a_role_reads_the_secrets_that_are_named_and_no_other(root, names, readable, others):
    """Without the six characters a name would match no secret, and with `*` in their place every longer name."""
    granted = grants(root, "secretsmanager:GetSecretValue", ProviderSecrets=names)
    assert len(granted) > 4
    for role, (patterns, conditions) in granted.items():
        arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{}}-{SIX}"
        assert [name for name in readable if not permits(patterns, arn.format(name))] == [], role
        assert [name for name in others if permits(patterns, arn.format(name))] == [], role
        assert conditions == {"StringEquals": {"aws:RequestedRegion": REGION, "aws:ResourceAccount": ACCOUNT}}, role


# --- Bedrock ------------------------------------------------------------------------------------------------------------


MODELS = [
    "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
    # Where a profile of several regions sends the call, and a global one, whose model is in no region.
    "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0",
    "arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.amazon.nova-lite-v1:0",
    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl",
]
OTHER_MODELS = [
    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:999999999999:application-inference-profile/abcdefghijkl",
]


@pytest.mark.parametrize("action", CALLS)
def test_by_default_roles_that_call_models_reach_those_of_bedrock_with_and_without_a_profile(root, action):
    granted = grants(root, action)
    assert set(granted) == set(grants(root, "secretsmanager:GetSecretValue"))
    for role, (patterns, _) in granted.items():
        assert [model for model in MODELS if not permits(patterns, model)] == [], role
        assert [model for model in OTHER_MODELS if permits(patterns, model)] == [], role


@pytest.mark.parametrize("action", CALLS)
def test_more_models_of_bedrock_are_named_by_a_parameter(root, action):
    (named,) = examples()["BedrockModels"]
    given = f"{named},{OTHER_MODELS[0]}"
    for bedrock, reached in [("yes", [*MODELS, named, OTHER_MODELS[0]]), ("no", [named, OTHER_MODELS[0]])]:
        granted = grants(root, action, Bedrock=bedrock, BedrockModels=given)
        assert granted
        for role, (patterns, _) in granted.items():
            assert [model for model in [*MODELS, named, *OTHER_MODELS] if permits(patterns, model)] == reached, role
    assert grants(root, action, Bedrock="no") == {}


# --- the table ----------------------------------------------------------------------------------------------------------


WRITES = ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
# What admits callers, and what says who did. Who may write there, of those that serve and those that work.
GUARDED = {"KEY#0f": {"AdminFunctionRole"}, "PROJECTS": {"AdminFunctionRole"}, "AUDIT": {"AdminFunctionRole", "SweepFunctionRole"}}


@pytest.mark.parametrize("existing", ["", "weir-Table-1ABCDEFGHIJKL"])
def test_only_admin_writes_keys_and_projects_to_a_table_of_this_stack_or_an_earlier_one(root, existing):
    """The Rust tests of policies read the template as it makes a table."""
    stack = Stack("test", resolved(root.template, defaults(root) | {"ExistingTable": existing}))
    tables = {"Fn::GetAtt": ["Table", "Arn"]} if not existing else {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${ExistingTable}"}
    written = {name: role["Properties"] for name, role in stack.of_type("AWS::IAM::Role").items()}
    for partition, writers in GUARDED.items():
        assert {name for name, role in written.items() if any(writes(role, action, partition, tables) for action in WRITES)} == writers, partition
    # An entry of the audit log stays as it was written.
    for name in GUARDED["AUDIT"]:
        assert [action for action in WRITES if writes(written[name], action, "AUDIT", tables)] == ["dynamodb:PutItem"]


def writes(role, action, partition, table):
    """Whether a role may do this to items of a partition of the table."""
    about = [each for each in statements(role) if table in listed(each["Resource"]) and action in listed(each["Action"])]
    return any(applies(each, partition) for each in about if each["Effect"] == "Allow") and not any(applies(each, partition) for each in about if each["Effect"] == "Deny")


def applies(statement, partition):
    """Whether the statement is about the partition: all of a request's keys or any of them, of which there is one here."""
    (condition,) = statement.get("Condition", {"": {"dynamodb:LeadingKeys": ["*"]}}).values()
    return permits(listed(condition["dynamodb:LeadingKeys"]), partition)
