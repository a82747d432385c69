"""The stacks under test, transformed once."""

from concurrent.futures import ProcessPoolExecutor

import pytest
import stacks
from conditions import choices


@pytest.fixture(scope="session")
def root():
    """template.yaml with its defaults, and what nests in it."""
    return stacks.root(stacks.source())


@pytest.fixture(scope="session")
def family(root):
    """Every stack of the deployment."""
    return root.family()


@pytest.fixture(scope="session")
def alternatives():
    """Other results of the transform, each with the values of parameters that it needs.

    The transform leaves most parameters alone, and then there are none. It reads some, because it must decide which resources
    to make: whether a function has an alias, for one.
    """
    source = stacks.source()
    usual = stacks.transformed(source, {})
    flips = [{name: value} for name, values in choices(source).items() for value in values if value != source["Parameters"][name].get("Default")]
    with ProcessPoolExecutor(2) as pool:
        results = pool.map(stacks.transformed, [source] * len(flips), flips)
    return [(flip, stacks.root(source, flip)) for flip, result in zip(flips, results, strict=True) if result != usual]
