"""Every place of a template that names something else of it, and the conditions under which the place exists."""

from dataclasses import dataclass

from conditions import SUB, depends_on, every, holds, permitted, ruled_with, values


@dataclass(frozen=True)
class Reference:
    """`place` names `target` (with an attribute) by `kind`, where all `guards` hold: (condition, whether it holds)."""

    place: str
    kind: str
    target: str
    attribute: str | None
    guards: tuple


def references(template):
    """All of a template's resources and outputs."""
    for section in ("Resources", "Outputs"):
        for name, entry in template.get(section, {}).items():
            place, guards = f"{section}.{name}", ()
            if "Condition" in entry:
                yield Reference(place, "Condition", entry["Condition"], None, ())
                guards = ((entry["Condition"], True),)
            after = entry.get("DependsOn", [])
            for target in [after] if isinstance(after, str) else after:
                yield Reference(place, "DependsOn", target, None, guards)
            for part in ("Properties", "Value", "Export", "UpdatePolicy", "CreationPolicy", "Metadata"):
                if part in entry:
                    yield from within(entry[part], f"{place}.{part}", guards)


def within(value, place, guards):
    """Those of a value."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from within(each, f"{place}.{index}", guards)
    elif isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        yield from of_function(function, argument, place, guards)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from within(each, f"{place}.{name}", guards)


def of_function(function, argument, place, guards):
    match function:
        case "Ref":
            yield Reference(place, function, argument, None, guards)
        case "Fn::GetAtt":
            target, _, attribute = (argument if isinstance(argument, str) else ".".join(map(str, argument))).partition(".")
            yield Reference(place, function, target, attribute, guards)
        case "Fn::Sub":
            pattern, local = (argument, {}) if isinstance(argument, str) else argument
            for name in SUB.findall(pattern):
                if name not in local:
                    target, _, attribute = name.partition(".")
                    yield Reference(place, function, target, attribute or None, guards)
            yield from within(list(local.values()), place, guards)
        case "Fn::If":
            condition, then, otherwise = argument
            yield Reference(place, "Condition", condition, None, guards)
            yield from within(then, place, (*guards, (condition, True)))
            yield from within(otherwise, place, (*guards, (condition, False)))
        case _:
            yield from within(argument, f"{place}.{function}", guards)


def broken(stack, fixed=()):
    """What is wrong with references of a stack: for any combination of parameters, of which `fixed` have their values."""
    return [problem for reference in references(stack.template) if (problem := wrong(stack, reference, dict(fixed)))]


def wrong(stack, reference, fixed):
    named = f"{stack.name}: {reference.place} names {reference.target} by {reference.kind}"
    if reference.kind == "Condition":
        return None if reference.target in stack.conditions else f"{named}, which is no condition"
    if reference.target not in stack.resources:
        known = reference.kind in ("Ref", "Fn::Sub") and reference.attribute is None
        if known and (reference.target in stack.parameters or reference.target.startswith("AWS::")):
            return None
        return f"{named}, which does not exist"
    needed = [stack.resources[reference.target].get("Condition")]
    if reference.attribute and reference.attribute.startswith("Outputs.") and reference.target in stack.nested:
        output = reference.attribute.removeprefix("Outputs.")
        child = stack.nested[reference.target]
        if output not in child.template.get("Outputs", {}):
            return f"{named}, and {child.name} has no output {output}"
        if "Condition" in child.template["Outputs"][output]:
            return f"{named}, and the output {output} of {child.name} has a condition, so it may be missing"
    for condition in filter(None, needed):
        if lacking := combination_without(stack.template, reference.guards, condition, fixed):
            return f"{named}, which does not exist with {lacking}"
    return None


def combination_without(template, guards, condition, fixed):
    """Values of parameters for which the guards hold, but not the condition. Other parameters make no difference to either."""
    about = ruled_with(template, {name for each in (condition, *(name for name, _ in guards)) for name in depends_on(template, each)})
    choices = {name: [fixed[name]] if name in fixed else values(template, name) for name in template["Parameters"] if name in about}
    for row in every(choices):
        if all(holds(template, name, row) == wanted for name, wanted in guards) and not holds(template, condition, row):
            if permitted(template, row):
                return ", ".join(f"{name}={value}" for name, value in row.items())
    return None
