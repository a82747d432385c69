"""The templates as CloudFormation gets them: template.yaml after SAM's transform, and the nested stacks of infra/."""

import copy
import functools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

# The transform asks boto3 for the region, and nothing else of an account.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.yamlhelper import yaml_parse  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "template.yaml"
# Properties that name a file or folder of this checkout. `sam deploy` puts addresses in S3 in their place, and the transform
# wants to see those.
LOCAL = {"CodeUri": "s3://bucket/key", "ContentUri": "s3://bucket/key", "TemplateURL": "https://bucket.s3.amazonaws.com/key"}


@dataclass
class Stack:
    """A template, its name in messages, and the nested stacks by the logical ids of their resources."""

    name: str
    template: dict
    # What the parent gives to the parameters, and the parent. Both are empty for template.yaml.
    given: dict = field(default_factory=dict)
    parent: "Stack | None" = None
    nested: dict = field(default_factory=dict)

    @property
    def parameters(self):
        return self.template.get("Parameters", {})

    @property
    def conditions(self):
        return self.template.get("Conditions", {})

    @property
    def resources(self):
        return self.template["Resources"]

    def of_type(self, *types):
        return {name: resource for name, resource in self.resources.items() if resource["Type"] in types}

    def family(self):
        """This stack and all below it."""
        return [self, *(member for child in self.nested.values() for member in child.family())]


class NoManagedPolicies:
    """SAM looks managed policies up by short names, which needs an account. Templates here give ARNs."""

    def load(self):
        return {}


@functools.cache
def source():
    return read(SOURCE)


def read(path):
    # Through JSON, so that what an anchor names is copied to each place, as `sam` does when it packages.
    return json.loads(json.dumps(yaml_parse(path.read_text())))


def transformed(source, parameters):
    """`source` as the transform makes it for these values of parameters."""
    copied = copy.deepcopy(source)
    for resource in copied["Resources"].values():
        properties = resource.get("Properties", {})
        properties.update({name: address for name, address in LOCAL.items() if name in properties})
    return transform(copied, dict(parameters), NoManagedPolicies())


def root(source, parameters=()):
    """template.yaml as a stack, with what nests in it."""
    stack = Stack("template.yaml", transformed(source, dict(parameters)))
    nest(stack, source, SOURCE.parent)
    return stack


def nest(parent, source, folder):
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            path = folder / resource["Properties"]["TemplateURL"]
            template = read(path)
            child = Stack(str(path.relative_to(ROOT)), template, resource["Properties"].get("Parameters", {}), parent)
            parent.nested[name] = child
            nest(child, template, path.parent)
