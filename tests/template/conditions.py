"""Conditions of a template, evaluated for given values of parameters, and the values that are worth trying."""

import functools
import itertools
import random
import re
import tomllib
from pathlib import Path

# Pseudo parameters that a condition may ask for.
PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "weir-prod",
}
SUB = re.compile(r"\$\{([^!}][^}]*)\}")


@functools.cache
def examples():
    """Values that stand for all others of a parameter that is not a choice."""
    return tomllib.loads(Path(__file__).with_name("values.toml").read_text())


def holds(template, condition, parameters):
    """Whether the condition of this name holds."""
    return truth(template, template["Conditions"][condition], parameters)


def truth(template, expression, parameters):
    ((function, argument),) = expression.items()
    match function:
        case "Condition":
            return holds(template, argument, parameters)
        case "Fn::Not":
            return not truth(template, argument[0], parameters)
        case "Fn::And":
            return all(truth(template, each, parameters) for each in argument)
        case "Fn::Or":
            return any(truth(template, each, parameters) for each in argument)
        case "Fn::Equals":
            left, right = (text(value(template, each, parameters)) for each in argument)
            return left == right
    raise NotImplementedError(f"a condition with {function}")


def value(template, expression, parameters):
    """The value of an expression of parameters: text, or a list."""
    if isinstance(expression, list):
        return [value(template, each, parameters) for each in expression]
    if not isinstance(expression, dict):
        return expression
    ((function, argument),) = expression.items()
    match function:
        case "Ref":
            return referred(template, argument, parameters)
        case "Fn::Select":
            index, items = value(template, argument, parameters)
            return items[int(index)]
        case "Fn::Split":
            separator, whole = value(template, argument, parameters)
            return whole.split(separator)
        case "Fn::Join":
            separator, parts = value(template, argument, parameters)
            return separator.join(map(text, parts))
        case "Fn::Sub":
            pattern, local = (argument, {}) if isinstance(argument, str) else argument
            local = {name: text(value(template, each, parameters)) for name, each in local.items()}
            return SUB.sub(lambda match: local[match[1]] if match[1] in local else text(referred(template, match[1], parameters)), pattern)
    raise NotImplementedError(f"a condition with {function}")


def referred(template, name, parameters):
    if name in PSEUDO:
        return PSEUDO[name]
    given = parameters[name]
    kind = template["Parameters"][name]["Type"]
    return given.split(",") if kind == "CommaDelimitedList" or kind.startswith("List<") else given


def text(value):
    """CloudFormation compares numbers and booleans as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, list) else str(value)


def permitted(template, parameters):
    """Whether the template's rules let these values through. Parameters without a value here have their defaults."""
    parameters = {name: text(meant["Default"]) for name, meant in template["Parameters"].items() if "Default" in meant} | parameters
    return all(
        truth(template, assertion["Assert"], parameters)
        for rule in template.get("Rules", {}).values()
        if "RuleCondition" not in rule or truth(template, rule["RuleCondition"], parameters)
        for assertion in rule["Assertions"]
    )


def ruled_with(template, names):
    """These parameters, and those that the template's rules tie to them."""
    groups = [set(parameters_of(template, rule)) for rule in template.get("Rules", {}).values()]
    names = set(names)
    while more := [group for group in groups if group & names and not group <= names]:
        names = names.union(*more)
    return names


def depends_on(template, condition):
    """The parameters that a condition is about, in the template's order."""
    return parameters_of(template, template["Conditions"][condition])


def parameters_of(template, expression):
    """The parameters that an expression of conditions is about, in the template's order."""
    found, pending = set(), [expression]
    while pending:
        expression = pending.pop()
        if isinstance(expression, list):
            pending += expression
        elif isinstance(expression, dict):
            for function, argument in expression.items():
                if function == "Condition":
                    pending.append(template["Conditions"][argument])
                elif function == "Ref":
                    found.add(argument)
                elif function == "Fn::Sub":
                    found.update(SUB.findall(argument if isinstance(argument, str) else argument[0]))
                    pending.append(argument)
                else:
                    pending.append(argument)
    return [name for name in template.get("Parameters", {}) if name in found]


def choices(template):
    """Each parameter that a condition is about, and those that rules tie to it, with the values to try."""
    names = ruled_with(template, {name for condition in template.get("Conditions", {}) for name in depends_on(template, condition)})
    return {name: values(template, name) for name in template.get("Parameters", {}) if name in names}


def values(template, name):
    parameter = template["Parameters"][name]
    if "AllowedValues" in parameter:
        return [text(each) for each in parameter["AllowedValues"]]
    # Without an example it is text that is compared with no text.
    return list(dict.fromkeys([text(parameter.get("Default", "")), *examples().get(name, ["x"])]))


def every(choices):
    """All combinations of choices."""
    return [dict(zip(choices, row, strict=True)) for row in itertools.product(*choices.values())]


def pairwise(template):
    """Combinations of a template's choices in which any two values of two parameters meet, if the template's rules let them."""
    offered, ruled = choices(template), permitted_by_rules(template)
    names = list(offered)
    pairs = {frozenset([(a, x), (b, y)]) for a, b in itertools.combinations(names, 2) for x in offered[a] for y in offered[b]}
    pairs = {pair for pair in pairs if any(fits(pair, assignment) for assignment in ruled)}
    rows, dice = [], random.Random(0)
    while pairs:
        # The best of some rows, each filled in another order, is close to the fewest rows there are.
        row = max((filled(offered, ruled, dice.sample(names, len(names)), pairs) for _ in range(20)), key=lambda row: len(met(row) & pairs))
        pairs -= met(row)
        rows.append({name: row[name] for name in names})
    return rows


def permitted_by_rules(template):
    """All values that the parameters which rules tie together may have together."""
    offered = choices(template)
    tied = {name for rule in template.get("Rules", {}).values() for name in parameters_of(template, rule) if name in offered}
    return [row for row in every({name: offered[name] for name in offered if name in tied}) if not tied or permitted(template, row)]


def fits(pair, assignment):
    return all(assignment.get(name, value) == value for name, value in pair)


def filled(offered, ruled, order, pairs):
    """A row that begins with a pair which has not met, each further value being the one that meets most."""
    first = min(pairs, key=lambda pair: sorted((order.index(name), value) for name, value in pair))
    row = max((dict(first) | assignment for assignment in ruled if fits(first, assignment)), key=lambda row: len(met(row) & pairs))
    for name in order:
        if name not in row:
            row[name] = max(offered[name], key=lambda value: sum(frozenset([(name, value), other]) in pairs for other in row.items()))
    return row


def met(row):
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
