"""The tools that build a deployment are new enough, here and in what users are told to install."""

import re

from stacks import ROOT

PINS = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci/requirements.txt").read_text(), re.M))
# The first SAM whose builder compiles what functions share only once (aws-lambda-builders 1.66.0).
MINIMUM = (1, 165)


def version(text):
    return tuple(map(int, text.split(".")))


def test_sam_is_new_enough_and_zig_has_an_archiver_that_works():
    assert version(PINS["aws-sam-cli"]) >= MINIMUM
    assert version(PINS["ziglang"]) > (0, 16, 0)  # Its `ar` breaks aws-lc.


def test_users_are_told_the_same_versions():
    told = (ROOT / "docs/deploying.md").read_text()
    assert f"aws-sam-cli>={'.'.join(map(str, MINIMUM))}" in told
    assert f"ziglang=={PINS['ziglang']}" in told
