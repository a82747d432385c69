"""Nothing names what does not exist, whatever the parameters are."""

import pytest
import stacks
from conditions import every, pairwise
from conftest import defaults
from references import broken, references
from resolve import resolved
from stacks import Stack


def test_no_reference_is_broken_with_any_combination_of_parameters(family, alternatives):
    problems = [problem for stack in family for problem in broken(stack)]
    problems += [problem for fixed, stack in alternatives for problem in broken(stack, fixed)]
    assert not problems, "\n".join(problems)


def test_nested_stacks_get_the_parameters_that_they_have(family):
    for parent in family:
        for name, child in parent.nested.items():
            needed = {parameter for parameter, meant in child.parameters.items() if "Default" not in meant}
            assert needed <= set(child.given) <= set(child.parameters), f"{parent.name}: {name} and {child.name}"


def stack(resources, outputs=None):
    """A stack with a choice and a condition on it."""
    return Stack(
        "test",
        {
            "Parameters": {"Log": {"Type": "String", "Default": "no", "AllowedValues": ["no", "yes", "role"]}},
            "Conditions": {
                "HasLog": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Log"}, "no"]}]},
                "HasRole": {"Fn::Equals": [{"Ref": "Log"}, "role"]},
            },
            "Resources": {"Role": {"Type": "AWS::IAM::Role", "Condition": "HasRole"}, **resources},
            "Outputs": outputs or {},
        },
    )


@pytest.mark.parametrize(
    "resource",
    [
        {"DependsOn": "Role"},
        {"DependsOn": ["Role"]},
        {"Properties": {"A": [{"B": {"Ref": "Role"}}]}},
        {"Properties": {"A": {"Fn::GetAtt": ["Role", "Arn"]}}},
        {"Properties": {"A": {"Fn::GetAtt": "Role.Arn"}}},
        {"Properties": {"A": {"Fn::Sub": "x ${Role.Arn}"}}},
        {"Properties": {"A": {"Fn::Sub": ["x ${Y}", {"Y": {"Ref": "Role"}}]}}},
        {"Properties": {"A": {"Fn::If": ["HasLog", {"Ref": "Role"}, "none"]}}},
        {"Properties": {"A": {"Fn::If": ["HasRole", "none", {"Ref": "Role"}]}}},
        {"Properties": {"A": {"Fn::Join": ["", ["x", {"Ref": "Role"}]]}}},
        {"Condition": "HasLog", "DependsOn": "Role"},
    ],
)
def test_a_reference_to_what_may_be_missing_is_found(resource):
    (problem,) = broken(stack({"Api": {"Type": "AWS::ApiGateway::RestApi", **resource}}))
    assert "which does not exist with Log=" in problem


@pytest.mark.parametrize(
    "resource",
    [
        {"DependsOn": "Nothing"},
        {"Condition": "Nothing"},
        {"Properties": {"A": {"Ref": "Nothing"}}},
        {"Properties": {"A": {"Fn::Sub": "${Nothing}"}}},
        {"Properties": {"A": {"Fn::GetAtt": ["Log", "Arn"]}}},
        {"Properties": {"A": {"Fn::If": ["Nothing", 1, 2]}}},
    ],
)
def test_a_reference_to_nothing_is_found(resource):
    (problem,) = broken(stack({"Api": {"Type": "AWS::ApiGateway::RestApi", **resource}}))
    assert "Api" in problem and ("does not exist" in problem or "is no condition" in problem)


def test_a_reference_that_exists_only_where_its_target_does_is_whole():
    guarded = {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"A": {"Fn::If": ["HasRole", {"Ref": "Role"}, {"Ref": "AWS::NoValue"}]}}},
        "Log": {"Type": "AWS::Logs::LogGroup", "Condition": "HasRole", "DependsOn": "Role"},
    }
    assert broken(stack(guarded, {"Role": {"Condition": "HasRole", "Value": {"Ref": "Role"}}})) == []
    assert len(broken(stack(guarded, {"Role": {"Value": {"Ref": "Role"}}}))) == 1


def test_pairs_of_values_all_meet_where_rules_let_them():
    offered = {name: list("xyz"[: 2 + index % 2]) for index, name in enumerate("abcdefg")}
    template = {
        "Parameters": {name: {"Type": "String", "Default": "x", "AllowedValues": values} for name, values in offered.items()},
        "Conditions": {name.upper(): {"Fn::Equals": [{"Ref": name}, "x"]} for name in offered},
        "Rules": {"R": {"RuleCondition": {"Fn::Equals": [{"Ref": "a"}, "x"]}, "Assertions": [{"Assert": {"Fn::Equals": [{"Ref": "c"}, "y"]}}]}},
    }
    rows = pairwise(template)
    assert len(rows) < len(every(offered)) / 10
    for a, b in [("a", "b"), ("b", "d"), ("f", "g")]:
        assert {(row[a], row[b]) for row in rows} == {(x, y) for x in offered[a] for y in offered[b]}
    assert {(row["a"], row["c"]) for row in rows} == {("x", "y"), ("y", "x"), ("y", "y")}


def test_the_dependency_that_the_first_deployment_would_have_lacked_is_found():
    """`Api` waited for a resource that exists with AccessLog=with-role only."""
    source = stacks.source()
    api = next(name for name, resource in source["Resources"].items() if resource["Type"] == "AWS::Serverless::Api")
    conditional = next(name for name, resource in source["Resources"].items() if "Condition" in resource)
    mutant = {**source, "Resources": {**source["Resources"], api: {**source["Resources"][api], "DependsOn": conditional}}}
    problems = broken(stacks.root(mutant))
    assert problems and all("DependsOn" in problem for problem in problems)


def waits_for(stack, name):
    """All that CloudFormation makes before a resource."""
    before = {each: set() for each in stack.resources}
    for reference in references(stack.template):
        section, at = reference.place.split(".")[:2]
        if section == "Resources" and reference.target in stack.resources:
            before[at].add(reference.target)
    found, pending = set(), [name]
    while pending:
        more = before[pending.pop()] - found
        found |= more
        pending += more
    return {(each, stack.resources[each]["Type"]) for each in found}


def test_a_stage_that_logs_waits_for_the_account_and_that_for_its_role(root):
    """API Gateway refuses a stage with a log while the account has no role, and a role that may not write yet."""
    stack = Stack("logged", resolved(root.template, defaults(root) | {"AccessLog": "with-role"}))
    (stage,), (account,) = stack.of_type("AWS::ApiGateway::Stage"), stack.of_type("AWS::ApiGateway::Account")
    assert (account, "AWS::ApiGateway::Account") in waits_for(stack, stage)
    (role,) = [name for name, type in waits_for(stack, account) if type == "AWS::IAM::Role"]
    assert "AmazonAPIGatewayPushToCloudWatchLogs" in str(stack.resources[role]["Properties"]["ManagedPolicyArns"])
