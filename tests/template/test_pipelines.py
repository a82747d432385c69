"""samconfig.toml and the workflow that deploys name what exists, and hold no key."""

import re
import subprocess
import sys
import tomllib

import pytest
import stacks
import yaml

CONFIG = tomllib.loads((stacks.ROOT / "samconfig.toml").read_text())
ENVIRONMENTS = ["dev", "staging", "prod"]
WORKFLOWS = sorted((stacks.ROOT / ".github/workflows").glob("*.yml"))
# Those that `infra/package --releases` adds.
OF_PACKAGES = {"PackageBucket", "ReleaseShift", "ProvisionedConcurrency"}


def overrides(environment):
    given = CONFIG[environment]["global"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in given)


def test_every_environment_has_a_stack_of_its_own():
    named = [CONFIG[name]["global"]["parameters"]["stack_name"] for name in ["default", *ENVIRONMENTS]]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("environment", ["default", *ENVIRONMENTS])
def test_parameters_of_an_environment_exist_and_have_values_that_are_allowed(environment):
    parameters = stacks.source()["Parameters"]
    for name, value in overrides(environment).items():
        assert name in parameters or name in OF_PACKAGES, f"[{environment}] {name}"
        allowed = parameters.get(name, {}).get("AllowedValues", [value])
        assert value in [str(each) for each in allowed], f"[{environment}] {name}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_repeats_what_default_has_because_none_is_inherited(environment):
    for command, usual in CONFIG["default"].items():
        if command in ("build", "deploy"):
            assert set(usual["parameters"]) <= set(CONFIG[environment][command]["parameters"]), f"[{environment}.{command}]"
    assert f"environment={environment}" in CONFIG[environment]["deploy"]["parameters"]["tags"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_workflow_gets_the_parameters_of_an_environment(environment):
    program = [sys.executable, stacks.ROOT / "infra/overrides", environment]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()
    assert dict(pair.split("=", 1) for pair in said) == overrides(environment)
    stack = subprocess.run([*program, "--stack"], capture_output=True, text=True, check=True).stdout.strip()
    assert stack == CONFIG[environment]["global"]["parameters"]["stack_name"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflows:
    def test_actions_are_pinned_by_commit(self, path):
        used = re.findall(r"uses: (\S+)(.*)", path.read_text())
        assert used
        for action, comment in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v[0-9.]+", comment), action

    def test_jobs_get_no_permission_that_is_not_named(self, path):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            assert set(job["permissions"].items()) <= {("contents", "read"), ("id-token", "write")}, name

    def test_a_job_with_credentials_needs_an_environment_and_builds_nothing(self, path):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            if "id-token" in job["permissions"]:
                assert "environment" in job, name
                runs = " ".join(step.get("run", "") for step in job["steps"])
                assert not re.search(r"infra/package|cargo|sam build|npm", runs), name

    def test_there_is_no_long_lived_key(self, path):
        text = path.read_text()
        assert "secrets." not in text
        assert not re.search(r"access.key", text, re.IGNORECASE)

    def test_no_input_is_pasted_into_a_script(self, path):
        """It would be read as a part of the script."""
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def test_the_workflow_offers_the_environments_of_samconfig():
    workflow = yaml.safe_load((stacks.ROOT / ".github/workflows/deploy.yml").read_text())
    choice = workflow[True]["workflow_dispatch"]["inputs"]["environment"]  # YAML reads `on` as true.
    assert choice["options"] == ENVIRONMENTS == [name for name in CONFIG if name not in ("version", "default")]


def test_the_workflow_deploys_its_environment_and_waits_for_no_terminal():
    """[prod] asks a person before it deploys, and nobody would answer."""
    workflow = yaml.safe_load((stacks.ROOT / ".github/workflows/deploy.yml").read_text())
    (command,) = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if "sam deploy" in step.get("run", "")]
    for flag in ("--no-confirm-changeset", "--no-fail-on-empty-changeset", '--config-env "$ENVIRONMENT"'):
        assert flag in command
