"""The stacks under test, transformed once."""

from concurrent.futures import ProcessPoolExecutor

import pytest
import stacks
from conditions import choices, pairwise
from resolve import resolved


@pytest.fixture(scope="session")
def root():
    """template.yaml with its defaults, and what nests in it."""
    return stacks.root(stacks.source())


@pytest.fixture(scope="session")
def family(root):
    """Every stack: those of the deployment, and those that only a package adds."""
    nested = root.family()
    paths = [path for path in sorted((stacks.ROOT / "infra").glob("*.yaml")) if str(path.relative_to(stacks.ROOT)) not in [stack.name for stack in nested]]
    return nested + [stacks.Stack(str(path.relative_to(stacks.ROOT)), stacks.read(path)) for path in paths]


@pytest.fixture(scope="session")
def usual(root):
    """template.yaml as it is deployed with its defaults: no condition is left in it."""
    return stacks.Stack(root.name, resolved(root.template, defaults(root)))


@pytest.fixture(scope="session")
def deployments(family):
    """Each stack as it is deployed, for values of parameters of which any two meet."""
    return [stacks.Stack(stack.name, resolved(stack.template, row)) for stack in family for row in pairwise(stack.template) or [{}]]


def defaults(stack):
    return {name: stack.parameters[name]["Default"] for name in choices(stack.template)}


@pytest.fixture(scope="session")
def rows(root):
    """Values of template.yaml's parameters, of which any two meet."""
    return pairwise(root.template)


@pytest.fixture(scope="session")
def alternatives(root, rows):
    """Other results of the transform, each with the values of parameters that it is for.

    The transform leaves most parameters alone, and then there are none. It reads some, because it must decide which resources
    to make: whether a function has an alias, for one.
    """
    source = stacks.source()
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(stacks.transformed, [source] * len(rows), rows))
    return [(row, stacks.root(source, row)) for row, result in zip(rows, results, strict=True) if result != root.template]
