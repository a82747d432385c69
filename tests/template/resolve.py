"""A template as it is for given values of parameters: no conditions, and values in place of parameters."""

from conditions import holds, referred
from references import references

NOTHING = object()
NO_VALUE = {"Ref": "AWS::NoValue"}


def resolved(template, parameters):
    """The copy of `template`. Parameters without a value here stay parameters."""
    made = {name: section for name, section in template.items() if name not in ("Conditions", "Parameters", "Rules")}
    for section in ("Resources", "Outputs"):
        made[section] = {
            name: {part: put(template, each, parameters) for part, each in entry.items() if part != "Condition"}
            for name, entry in template.get(section, {}).items()
            if "Condition" not in entry or holds(template, entry["Condition"], parameters)
        }
    used = {reference.target for reference in references(made)}
    made["Parameters"] = {
        name: {**parameter, **({"Default": parameters[name]} if name in parameters else {})}
        for name, parameter in template.get("Parameters", {}).items()
        if name in used
    }
    return made


def put(template, value, parameters):
    if isinstance(value, list):
        return [made for each in value if (made := put(template, each, parameters)) is not NOTHING]
    if not isinstance(value, dict):
        return value
    if value == NO_VALUE:
        return NOTHING
    if set(value) == {"Fn::If"}:
        condition, then, otherwise = value["Fn::If"]
        return put(template, then if holds(template, condition, parameters) else otherwise, parameters)
    if set(value) == {"Ref"} and value["Ref"] in parameters:
        return referred(template, value["Ref"], parameters)
    return {name: made for name, each in value.items() if (made := put(template, each, parameters)) is not NOTHING}
