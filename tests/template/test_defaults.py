"""A deployment with the defaults fits a new account, and every parameter is where users look for it."""

import re

from stacks import ROOT

# A new account runs about this many functions at once, of all kinds.
AT_ONCE = 10
# What costs money while nobody calls, or belongs to an account once.
ASKED_FOR = ("AWS::CloudFormation::Stack", "AWS::ApiGateway::Account", "AWS::CloudWatch::Alarm")


def test_workers_leave_a_new_account_functions_for_callers(root, usual):
    mappings = usual.of_type("AWS::Lambda::EventSourceMapping").values()
    named = [mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"] for mapping in mappings]
    assert len(named) == len(set(named)) > 2
    assert sum(root.parameters[name]["Default"] for name in named) < AT_ONCE


def test_no_function_reserves_what_a_new_account_does_not_have(usual):
    functions = usual.of_type("AWS::Lambda::Function")
    assert len(functions) > 10
    assert [name for name, function in functions.items() if "ReservedConcurrentExecutions" in function["Properties"]] == []


def test_limits_of_the_api_and_sizes_of_functions_are_parameters(root, usual):
    (stage,) = usual.of_type("AWS::ApiGateway::Stage").values()
    (settings,) = stage["Properties"]["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == ({"Ref": "ThrottleRate"}, {"Ref": "ThrottleBurst"})
    # Calls of 200 ms.
    assert root.parameters["ThrottleRate"]["Default"] * 0.2 <= AT_ONCE
    sizes = {name: function["Properties"]["MemorySize"] for name, function in usual.of_type("AWS::Lambda::Function").items()}
    assert [name for name, size in sizes.items() if not (isinstance(size, dict) and size["Ref"] in root.parameters)] == []


def test_the_models_of_bedrock_are_served_and_nothing_is_made_that_nobody_asked_for(root, usual):
    assert root.parameters["Bedrock"]["Default"] == "yes"
    assert root.parameters["AllowedOrigins"]["Default"] == ""
    assert list(usual.of_type(*ASKED_FOR)) == []


def test_every_parameter_and_its_default_is_in_the_documentation(root):
    told = {}
    for table in re.findall(r"^\|[^|]+\| default \| meaning \|\n((?:\|.*\n)+)", (ROOT / "docs/deploying.md").read_text(), re.M):
        for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.M):
            names, defaults = re.findall(r"`(\w+)`", names), [each.strip("` ") for each in defaults.split(",")]
            # The last one stands for the rest.
            told |= dict(zip(names, defaults + defaults[-1:] * len(names)))
    expected = {name: str(meant.get("Default", "")) or "none" for name, meant in root.parameters.items()}
    assert {name: told.get(name) for name in expected} == expected
