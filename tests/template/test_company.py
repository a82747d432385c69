"""What a company asks for by a parameter reaches everything that the stack makes: its key, its network, its bound, its traces."""

import fnmatch
import json

import pytest
from conditions import examples, permitted, value
from conftest import defaults
from names import at
from resolve import resolved
from stacks import Stack
from test_roles import is_function, listed, statements

# Where each type of resource that keeps content names a key of KMS.
KEYS = {
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::S3::Bucket": "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.KMSMasterKeyID",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
}
# What DynamoDB, S3, SQS and Secrets Manager ask for in the name of a caller that reads and writes, by their documents.
USES = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
# What Lambda does with a function's role to connect it to a network.
CONNECTS = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]


@pytest.fixture(scope="module")
def deployed(root):
    """The template with its defaults, but for some parameters."""
    return lambda **parameters: Stack(root.name, resolved(root.template, defaults(root) | parameters))


def given(name):
    return examples()[name][0]


def reached(properties, path):
    """The value at a path, of which a number is a place in a list."""
    for name in path.split("."):
        properties = properties[int(name)] if isinstance(properties, list) else at(properties, [name])
    return properties


def lacking(role, actions):
    """The actions that a role has not."""
    patterns = [pattern for each in statements(role) if each["Effect"] == "Allow" for pattern in listed(each["Action"])]
    return [action for action in actions if not any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)]


def functions_roles(stack):
    roles = {name: role["Properties"] for name, role in stack.of_type("AWS::IAM::Role").items()}
    return {name: role for name, role in roles.items() if is_function(role)}


# --- key ----------------------------------------------------------------------------------------------------------------


def test_all_content_is_encrypted_with_the_key_that_is_given(deployed):
    key = given("KmsKeyArn")
    stack = deployed(KmsKeyArn=key, AccessLog="yes")
    kept = stack.of_type(*KEYS)
    assert {resource["Type"] for resource in kept.values()} == set(KEYS)
    assert [name for name, resource in kept.items() if reached(resource["Properties"], KEYS[resource["Type"]]) != key] == []


def test_every_function_may_use_the_key_and_none_may_without_one(deployed):
    roles = functions_roles(deployed(KmsKeyArn=given("KmsKeyArn")))
    assert len(roles) > 10 and {name: lacking(role, USES) for name, role in roles.items()} == dict.fromkeys(roles, [])
    assert "kms:" not in json.dumps(functions_roles(deployed()))


# --- network ------------------------------------------------------------------------------------------------------------


def test_every_function_is_in_the_network_that_is_given(deployed):
    subnets, groups = given("SubnetIds"), given("SecurityGroupIds")
    stack = deployed(SubnetIds=subnets, SecurityGroupIds=groups)
    functions = stack.of_type("AWS::Lambda::Function")
    joined = {"SubnetIds": split(subnets), "SecurityGroupIds": split(groups)}
    assert len(functions) > 10 and [name for name, function in functions.items() if function["Properties"].get("VpcConfig") != joined] == []
    roles = functions_roles(stack)
    assert {name: lacking(role, CONNECTS) for name, role in roles.items()} == dict.fromkeys(roles, [])
    plain = deployed()
    assert [name for name, function in plain.of_type("AWS::Lambda::Function").items() if "VpcConfig" in function["Properties"]] == []


def split(text):
    return {"Fn::Split": [",", text]}


def test_a_private_api_is_reached_through_its_endpoints_only(deployed):
    endpoints = given("VpcEndpointIds")
    (api,) = deployed(EndpointType="PRIVATE", VpcEndpointIds=endpoints).of_type("AWS::ApiGateway::RestApi").values()
    configured = api["Properties"]["EndpointConfiguration"]
    assert (configured["Types"], configured["VpcEndpointIds"]) == (["PRIVATE"], split(endpoints))
    denied = [each for each in api["Properties"]["Policy"]["Statement"] if each["Effect"] == "Deny"]
    assert [each["Condition"] for each in denied] == [{"StringNotEquals": {"aws:SourceVpce": split(endpoints)}}]
    (api,) = deployed().of_type("AWS::ApiGateway::RestApi").values()
    assert "Policy" not in api["Properties"]


# --- bound, traces, domain ----------------------------------------------------------------------------------------------


def test_every_role_has_the_bound_that_is_given(deployed):
    """An account may refuse to make a role without it."""
    bound = given("PermissionsBoundary")
    roles = deployed(PermissionsBoundary=bound, AccessLog="with-role").of_type("AWS::IAM::Role")
    assert len(roles) > 10 and [name for name, role in roles.items() if role["Properties"].get("PermissionsBoundary") != bound] == []


def test_traces_begin_at_the_api_and_every_function_sends_its_part(deployed):
    stack = deployed(Tracing="Active")
    (stage,) = stack.of_type("AWS::ApiGateway::Stage").values()
    assert stage["Properties"]["TracingEnabled"] is True
    functions, roles = stack.of_type("AWS::Lambda::Function"), functions_roles(stack)
    assert [name for name, function in functions.items() if function["Properties"].get("TracingConfig") != {"Mode": "Active"}] == []
    sends = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    assert {name: lacking(role, sends) for name, role in roles.items()} == dict.fromkeys(roles, [])


@pytest.mark.parametrize("path, mapped", [("", None), ("/", None), ("ai", "ai"), ("/ai", "ai")])
def test_a_domain_name_leads_to_the_stage_below_its_base_path(root, deployed, path, mapped):
    stack = deployed(DomainName=given("DomainName"), CertificateArn=given("CertificateArn"), DomainBasePath=path)
    (mapping,) = stack.of_type("AWS::ApiGateway::BasePathMapping").values()
    assert value(root.template, mapping["Properties"].get("BasePath"), {}) == mapped
    (stage,) = stack.of_type("AWS::ApiGateway::Stage")
    assert mapping["Properties"]["Stage"] == {"Ref": stage}


# --- values that need each other ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, needed",
    [
        ({"DomainName": "api.example.com"}, {"CertificateArn": "arn"}),
        ({"HostedZoneId": "Z0"}, {"DomainName": "api.example.com", "CertificateArn": "arn"}),
        ({"EndpointType": "PRIVATE"}, {"VpcEndpointIds": "vpce-0"}),
        ({"EndpointType": "PRIVATE", "VpcEndpointIds": "vpce-0", "Cdn": "yes"}, {"EndpointType": "REGIONAL"}),
        ({"EndpointType": "PRIVATE", "VpcEndpointIds": "vpce-0", "DomainName": "api.example.com", "CertificateArn": "arn"}, {"EndpointType": "REGIONAL"}),
        ({"SubnetIds": "subnet-0"}, {"SecurityGroupIds": "sg-0"}),
    ],
)
def test_cloudformation_refuses_values_that_lack_others_before_it_makes_anything(root, parameters, needed):
    assert not permitted(root.template, parameters)
    assert permitted(root.template, parameters | needed)
