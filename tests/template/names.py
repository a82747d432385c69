"""Physical names: the properties that name a resource for the whole account, taken from CloudFormation's own schemas."""

import functools

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from conditions import SUB

# Resources whose names are one space for all regions of an account (of all accounts, for buckets). A stack may have the same
# name in two regions, so the region must be part of these names.
WITHOUT_REGION = ("AWS::IAM::", "AWS::CloudFront::", "AWS::CloudWatch::Dashboard", "AWS::S3::Bucket", "AWS::Route53::")
# A stack's id ends in /name/number.
STACK_ID_PARTS = {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}
ALWAYS_UNIQUE = ("AWS::StackName", "AWS::StackId")


@functools.cache
def identifying(type):
    """Properties that identify a resource of this type and can be set: (those that are names, all others)."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type).schema
    fixed = [*schema.get("primaryIdentifier", []), *schema.get("createOnlyProperties", [])]
    paths = [path.split("/")[2:] for path in dict.fromkeys(fixed) if path not in schema.get("readOnlyProperties", [])]
    # CloudFront keeps the names of its policies one level down, and in none of these lists.
    configs = [name for name in schema["properties"] if name.endswith("Config") and has_name(schema, name)]
    paths += [[name, "Name"] for name in configs]
    names = [path for path in paths if path[-1].endswith(("Name", "Alias", "Prefix"))]
    return names, [path for path in paths if path not in names and path[-1].endswith(("Id", "Arn"))]


def has_name(schema, property):
    """Whether a property is an object that must have a name."""
    meant = schema["properties"][property]
    for part in meant.get("$ref", "").split("/")[1:]:
        schema = schema[part]
        meant = schema
    return "Name" in meant.get("required", [])


def at(properties, path):
    for name in path:
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


def shared(stack):
    """Names of a stack that another stack of the same account would have too."""
    return [problem for name, resource in stack.resources.items() for problem in of_resource(stack, name, resource)] + [
        f"{stack.name}: the export of the output {name} has a fixed name"
        for name, output in stack.template.get("Outputs", {}).items()
        if "Export" in output and not unique(stack, output["Export"]["Name"])
    ]


def of_resource(stack, logical, resource):
    properties, type = resource.get("Properties", {}), resource["Type"]
    if type.startswith("Custom::"):
        return
    names, others = identifying(type)
    given = {".".join(path): at(properties, path) for path in names}
    given = {path: value for path, value in given.items() if value is not None}
    # A name that counts within something of this stack only, as an alias does within its function.
    scopes = [at(properties, path) for path in others]
    for path, value in given.items():
        around = [*scopes, *(other for name, other in given.items() if name != path)]
        if not (unique(stack, value) or any(refers(stack, scope) for scope in around)):
            yield f"{stack.name}: {logical} has the fixed name {path}={value!r}, which a second stack cannot have too"
        elif type.startswith(WITHOUT_REGION) and not unique(stack, value, regional=True):
            yield f"{stack.name}: {logical} has the name {path}={value!r}, which a stack of the same name in another region cannot have too"


def refers(stack, value):
    """Whether a value comes from a resource of the stack."""
    return isinstance(value, dict) and ("Fn::GetAtt" in value or value.get("Ref") in stack.resources)


def unique(stack, value, regional=False):
    """Whether no second stack of the account and region (of the account, if `regional`) has the value."""
    if isinstance(value, list):
        return any(unique(stack, each, regional) for each in value)
    if not isinstance(value, dict):
        return False
    ((function, argument),) = value.items()
    match function:
        case "Ref":
            return named(stack, argument, regional)
        case "Fn::GetAtt":
            return True
        case "Fn::If":
            return all(each == {"Ref": "AWS::NoValue"} or unique(stack, each, regional) for each in argument[1:])
        case "Fn::Sub":
            pattern, local = (argument, {}) if isinstance(argument, str) else argument
            parts = [local.get(name, {"Ref": name.partition(".")[0]}) for name in SUB.findall(pattern)]
            return together(stack, parts, regional)
        case "Fn::Join":
            return together(stack, argument[1], regional)
        case "Fn::Select" if argument[1] == STACK_ID_PARTS:
            return int(argument[0]) == 2 or (int(argument[0]) == 1 and not regional)
    return False


def together(stack, parts, regional):
    """Whether parts of a name make it unique: a stack's name and the region do so between regions."""
    if regional and {"Ref": "AWS::Region"} in parts:
        return any(unique(stack, part) for part in parts)
    return any(unique(stack, part, regional) for part in parts)


def named(stack, name, regional):
    if name in ALWAYS_UNIQUE:
        return not regional or name == "AWS::StackId"
    if name in stack.given:
        return unique(stack.parent, stack.given[name], regional)
    if name in stack.parameters:
        # The caller's own choice: it names nothing until they choose, and then they choose for each stack.
        return stack.parent is None and stack.parameters[name].get("Default", "") == ""
    return name in stack.resources
