"""Two stacks fit into one account, in one region and in two."""

import copy

import pytest
from names import identifying, shared
from stacks import Stack


def test_no_physical_name_is_shared_by_two_stacks(family, alternatives):
    family = [*family, *(stack for _, stack in alternatives)]
    problems = [problem for stack in family for problem in shared(stack)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "type, name",
    [
        ("AWS::Scheduler::Schedule", "Name"),
        ("AWS::Lambda::LayerVersion", "LayerName"),
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::Logs::LogGroup", "LogGroupName"),
        ("AWS::CloudWatch::Alarm", "AlarmName"),
        ("AWS::CloudWatch::CompositeAlarm", "AlarmName"),
        ("AWS::CloudWatch::Dashboard", "DashboardName"),
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::SNS::Topic", "TopicName"),
        ("AWS::DynamoDB::Table", "TableName"),
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
        ("AWS::SecretsManager::Secret", "Name"),
        ("AWS::SSM::Parameter", "Name"),
        ("AWS::WAFv2::WebACL", "Name"),
        ("AWS::CodeDeploy::Application", "ApplicationName"),
        ("AWS::CloudFront::CachePolicy", "CachePolicyConfig.Name"),
        ("AWS::CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig.Name"),
        ("AWS::CloudFront::Function", "Name"),
        ("AWS::KMS::Alias", "AliasName"),
    ],
)
def test_the_schemas_say_what_names_a_resource(type, name):
    assert name in [".".join(path) for path in identifying(type)[0]]


def stack(type, properties, given=None):
    """A stack with a parameter that has a default, one that has none, and nothing else but this resource."""
    parameters = {"Fixed": {"Type": "String", "Default": "x"}, "Chosen": {"Type": "String", "Default": ""}, "Given": {"Type": "String"}}
    parent = Stack("parent", {"Parameters": parameters, "Resources": {}}) if given else None
    resources = {"It": {"Type": type, "Properties": properties}, "Other": {"Type": "AWS::Lambda::Function"}}
    return Stack("test", {"Parameters": parameters, "Resources": resources}, given or {}, parent)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"Ref": "AWS::StackName"},
        {"Ref": "Chosen"},
        {"Fn::Sub": "/${AWS::StackName}/log"},
        {"Fn::Sub": ["/${A}/log", {"A": {"Ref": "AWS::StackName"}}]},
        {"Fn::Join": ["-", ["x", {"Ref": "AWS::StackName"}]]},
        {"Fn::Join": ["-", ["x", {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}]]},
        {"Fn::If": ["Some", {"Ref": "AWS::StackName"}, {"Ref": "AWS::NoValue"}]},
    ],
)
def test_names_of_the_stack_are_its_own(value):
    assert shared(stack("AWS::Logs::LogGroup", {"LogGroupName": value} if value else {})) == []


@pytest.mark.parametrize(
    "value",
    ["weir", {"Ref": "Fixed"}, {"Fn::Sub": "weir-${AWS::Region}"}, {"Fn::If": ["Some", {"Ref": "AWS::StackName"}, "weir"]}, {"Fn::Join": ["", ["a", "b"]]}, {"Fn::Select": [0, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}],
)
def test_fixed_names_are_found(value):
    assert len(shared(stack("AWS::Logs::LogGroup", {"LogGroupName": value}))) == 1


def test_a_nested_stack_may_use_the_name_that_its_parent_gives():
    resource = ("AWS::CloudWatch::Alarm", {"AlarmName": {"Fn::Sub": "${Given}-errors"}})
    assert shared(stack(*resource, given={"Given": {"Ref": "AWS::StackName"}})) == []
    assert len(shared(stack(*resource, given={"Given": "weir"}))) == 1
    assert len(shared(stack(*resource, given={"Given": {"Ref": "Fixed"}}))) == 1


def test_a_name_within_a_resource_of_the_stack_may_be_fixed():
    assert shared(stack("AWS::Lambda::Alias", {"FunctionName": {"Ref": "Other"}, "Name": "live"})) == []
    assert len(shared(stack("AWS::Lambda::Alias", {"FunctionName": "weir", "Name": "live"}))) == 2


def test_names_without_a_region_need_one():
    for value, problems in [({"Fn::Sub": "${AWS::StackName}-x"}, 1), ({"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}, 0), ({"Ref": "AWS::StackName"}, 1)]:
        assert len(shared(stack("AWS::IAM::Role", {"RoleName": value}))) == problems
        assert len(shared(stack("AWS::CloudFront::CachePolicy", {"CachePolicyConfig": {"Name": value}}))) == problems


def test_a_fixed_export_is_found(root):
    template = copy.deepcopy(root.template)
    name = next(iter(template["Outputs"]))
    template["Outputs"][name]["Export"] = {"Name": "weir"}
    assert len(shared(Stack("test", template))) == 1 + len(shared(root))
