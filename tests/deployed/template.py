"""The copy of template.yaml that an emulator gets: differences.toml applied, and nothing else."""

import copy

ABSENT = None  # No value of the template is null.
ANYTHING = "*"


class Wrong(Exception):
    """The list of differences and the template do not fit."""


def adapted(template, differences):
    """The copy; raises `Wrong` unless it differs in what is listed and in nothing else."""
    adapted = copy.deepcopy(template)
    listed = [change for difference in differences for change in apply(adapted, difference)]
    found = list(changes(template, adapted))
    if sorted(map(repr, listed)) != sorted(map(repr, found)):
        raise Wrong(f"the copy differs in {found}, but listed is {listed}")
    return adapted


def apply(template, difference):
    """Makes one difference everywhere it applies; the changes that were made."""
    wanted, after, made = difference.get("from", ABSENT), difference.get("to", ABSENT), []
    for place, path in places(template, difference["path"]):
        before = place.get(path[-1], ABSENT)
        if before != wanted and (wanted != ANYTHING or before is ABSENT):
            continue
        if after is ABSENT:
            del place[path[-1]]
        else:
            place[path[-1]] = after
        made.append((".".join(path), before, after))
    if not made:
        raise Wrong(f"`{difference['path']}` is nowhere {wanted!r} in the template: mend or delete the difference")
    return made


def places(template, pattern):
    """Each mapping that has, or could have, the last name of a pattern, with the path of that name."""
    *parents, name = pattern.split(".")
    found = [(template, ())]
    for parent in parents:
        found = [
            (value, (*path, key))
            for mapping, path in found
            for key, value in mapping.items()
            if parent in (ANYTHING, key) and isinstance(value, dict)
        ]
    return [(mapping, (*path, name)) for mapping, path in found]


def changes(before, after, path=()):
    """Where two templates differ: (path, before, after)."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if before != after:
            yield ".".join(path), before, after
        return
    for name in [*before, *(name for name in after if name not in before)]:
        yield from changes(before.get(name, ABSENT), after.get(name, ABSENT), (*path, name))
