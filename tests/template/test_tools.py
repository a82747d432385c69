"""The tools that build a deployment are new enough, here and in what users are told to install, and build what Cargo.lock names."""

import re
import tomllib

from stacks import ROOT, source

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


# Every command that compiles what is deployed, or what stands for it, but those that a message recommends.
BUILDS = re.compile(r"(?<!`)\bcargo[\"', ]+(?:lambda[\"', ]+build|build|test|fetch)\b.*")


def test_what_builds_functions_takes_the_dependencies_of_the_lock():
    """SAM passes no flag on to cargo-lambda, which reads the workspace's settings."""
    settings = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["metadata"]["lambda"]["build"]
    assert settings["locked"] is True
    for path in ("infra/package", ".ci/run", "tests/deployed/run"):
        built = BUILDS.findall((ROOT / path).read_text())
        assert built, path
        assert [command for command in built if "--locked" not in command] == [], path


def test_sam_does_not_take_a_function_from_its_cache():
    """It compares the function's own folder, and would not see a change in what functions share."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert [name for name, commands in config.items() if name != "version" and commands["build"]["parameters"].get("cached") is not False] == []


def test_ci_builds_a_function_for_the_processor_that_is_the_default():
    assert source()["Parameters"]["Architecture"]["Default"] == "arm64"
    steps = dict(re.findall(r"^step (\S+) +(\S+)", (ROOT / ".ci/run").read_text(), re.M))
    assert "arm64" in steps
    (body,) = re.findall(rf"^{steps['arm64']}\(\) {{\n(.*?)^}}", (ROOT / ".ci/run").read_text(), re.M | re.S)
    assert "cargo lambda build" in body and "--arm64" in body


def test_the_random_numbers_of_a_new_process_do_not_wait_for_jitter():
    assert tomllib.loads((ROOT / ".cargo/config.toml").read_text())["env"]["AWS_LC_SYS_NO_JITTER_ENTROPY"] == "1"
    assert (ROOT / "docs/decisions/0041-random-numbers-come-from-the-system.md").is_file()
