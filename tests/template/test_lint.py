"""cfn-lint accepts what CloudFormation gets: the transformed template, not its source."""

import itertools
import json
from concurrent.futures import ProcessPoolExecutor

import cfnlint.api
from references import references
from resolve import resolved

# The oldest region, one of another continent, and one that was opened to all lately: not all have every resource type.
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-5"]


def lint(name, template, regions):
    """What cfn-lint says of a template."""
    found = cfnlint.api.lint(json.dumps(template), regions=regions)
    return [f"{name}: {match.rule.id} at {'.'.join(map(str, match.path or []))}: {match.message}" for match in found]


def new_in(plain, whole):
    """A template without the resources that are the same in `whole` and that nothing names: nothing new can be said of them."""
    used = {reference.target for reference in references(plain)}
    made = {**plain, "Resources": {name: each for name, each in plain["Resources"].items() if name in used or each != whole["Resources"][name]}}
    used = {reference.target for reference in references(made)}
    return {**made, "Parameters": {name: each for name, each in plain["Parameters"].items() if name in used}}


def test_every_stack_and_its_pairs_of_choices_are_clean(family, root, rows, alternatives):
    """cfn-lint knows conditions, so the whole template is enough for most rules. Some look at values only where they are plain:
    for these, each two values of two parameters are put in place once."""
    whole = [(stack.name, stack.template, REGIONS) for stack in family]
    whole += [(f"{stack.name} with {row}", stack.template, REGIONS) for row, stack in alternatives]
    plain = [(f"template.yaml with {row}", new_in(resolved(root.template, row), root.template), [region]) for row, region in zip(rows, itertools.cycle(REGIONS))]
    with ProcessPoolExecutor(2) as pool:  # It is slow, and the machine of a test has two cores.
        said = [pool.submit(lint, *job) for job in whole + plain]
    problems = [line for each in said for line in each.result()]
    assert not problems, "\n".join(problems)


def test_a_dependency_on_a_resource_with_a_condition_is_found_in_the_transformed_template(root):
    """It was not found in the source: there cfn-lint passes over targets whose names begin with that of a SAM resource."""
    conditional = next(name for name, resource in root.resources.items() if "Condition" in resource and resource["Type"] == "AWS::IAM::Role")
    api = {"Type": "AWS::ApiGateway::RestApi", "DependsOn": conditional, "Properties": {"Name": "weir"}}
    resources = {"Api": api, conditional: root.resources[conditional]}
    lines = lint("mutant", {**root.template, "Resources": resources, "Outputs": {}}, REGIONS[:1])
    assert [line for line in lines if "E3005" in line]
