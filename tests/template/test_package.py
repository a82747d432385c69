"""infra/package makes folders from which the stack can be deployed without this checkout."""

import copy
import functools
import hashlib
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import zipfile

import cfnlint.api
import conftest
import pytest
import resolve
import stacks
import yaml
from names import shared
from references import broken
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}
# What only a package needs, as an operator gives it.
GIVEN = {"PackageBucket": "some-bucket"}


def program(machine, content=b""):
    """The head of a Linux program, which is all of it that infra/package reads."""
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + content


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder of programs as cargo-lambda leaves it, for both architectures."""
    folder = tmp_path_factory.mktemp("built")
    for architecture, machine in MACHINES.items():
        for function in (stacks.ROOT / "functions").iterdir():
            place = folder / architecture / function.name
            place.mkdir(parents=True)
            (place / "bootstrap").write_bytes(program(machine, function.name.encode()))
    return folder


@pytest.fixture(scope="module", autouse=True)
def script():
    """infra/package, in this process: starting it costs more than a package."""
    sys.path.insert(0, str(stacks.ROOT / "infra"))
    loader = importlib.machinery.SourceFileLoader("package", str(stacks.ROOT / "infra/package"))
    sys.modules["package"] = module = importlib.util.module_from_spec(importlib.util.spec_from_loader("package", loader))
    sys.dont_write_bytecode, written = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = written
    module.yaml_parse = lambda text: copy.deepcopy(parsed(text))
    return module


@functools.cache
def parsed(text):
    """Templates are read for each package, and reading takes most of its time."""
    return yaml_parse(text)


def package(*arguments, upload=lambda *_: None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["infra/package", *map(str, arguments)])
        patch.setattr(sys.modules["package"], "upload", upload)
        sys.modules["package"].main()


def made(built, folder, *arguments):
    package("--version", "1.2.3", "--built", built, "--folder", folder, *arguments)
    return folder


@pytest.fixture(scope="module", params=[(), ("--releases",)], ids=["plain", "releases"])
def packaged(request, built, tmp_path_factory):
    return made(built, tmp_path_factory.mktemp("package") / "p", "--bucket", GIVEN["PackageBucket"], *request.param)


@pytest.fixture(scope="module")
def released(built, tmp_path_factory):
    return template(made(built, tmp_path_factory.mktemp("package") / "p", "--releases"))


@pytest.fixture(scope="module")
def deployed(released):
    """What CloudFormation makes of it."""
    return transformed(released, ReleaseShift="Canary10Percent5Minutes")


def without_routes(template):
    """A template whose functions are called by no API, which takes most of the time of a transform."""
    functions = copy.deepcopy(of_type(template, "AWS::Serverless::Function"))
    for function in functions.values():
        function["Properties"].pop("Events", None)
    return {**template, "Resources": {**template["Resources"], **functions}}


def template(folder):
    return parsed((folder / "template.yaml").read_text())


def transformed(source, **parameters):
    return transform(copy.deepcopy(source), {**GIVEN, **parameters}, stacks.NoManagedPolicies())


def of_type(template, *types):
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] in types}


def resolved(value, parameters):
    """An address with the values of parameters in place."""
    if isinstance(value, str):
        return value
    ((function, inner),) = value.items()
    match function:
        case "Ref":
            return parameters[inner]
        case "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda name: parameters[name[1]], inner)
        case "Fn::Select":
            return resolved(inner[1][inner[0]], parameters)


def addresses(template, architecture):
    """The keys in the bucket that a template names."""
    pseudo = {"AWS::Region": "eu-west-1", "AWS::URLSuffix": "amazonaws.com"}
    parameters = {**GIVEN, **pseudo, "Architecture": architecture}
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                assert resolved(properties[name]["Bucket"], parameters) == GIVEN["PackageBucket"]
                yield resolved(properties[name]["Key"], parameters)
        if "TemplateURL" in properties:
            host = "https://some-bucket.s3.eu-west-1.amazonaws.com/"
            url = resolved(properties["TemplateURL"], parameters)
            assert url.startswith(host)
            yield url.removeprefix(host)


def test_everything_that_the_template_names_is_in_the_folder(packaged):
    named = {key for architecture in MACHINES for key in addresses(template(packaged), architecture)}
    missing = [key for key in named if not (packaged / key.removeprefix("weir/1.2.3/")).is_file()]
    assert missing == []
    assert all(key.startswith("weir/1.2.3/") for key in named)
    kept = {f"weir/1.2.3/{path.relative_to(packaged).as_posix()}" for path in packaged.rglob("*") if path.is_file()}
    assert kept - named == {"weir/1.2.3/template.yaml", "weir/1.2.3/SHA256SUMS"}
    nested = list(of_type(template(packaged), "AWS::CloudFormation::Stack"))
    assert len(named) == 2 * len(of_type(template(packaged), "AWS::Serverless::Function")) + 1 + len(nested)


def test_nothing_names_this_checkout(packaged):
    for path in packaged.rglob("*.yaml"):
        for resource in parsed(path.read_text())["Resources"].values():
            properties = resource.get("Properties", {})
            assert not [name for name in stacks.LOCAL if isinstance(properties.get(name), str)], path
            assert not {"BuildMethod", "BuildProperties"} & set(resource.get("Metadata", {}))


def test_templates_have_no_anchors_which_cloudformation_does_not_know(packaged):
    for path in packaged.rglob("*.yaml"):
        tokens = yaml.scan(path.read_text())
        assert not [token for token in tokens if isinstance(token, (yaml.AnchorToken, yaml.AliasToken))], path


def test_the_template_transforms_into_one_that_cfn_lint_accepts(released):
    """The one with releases has all of the other. Routes are those of template.yaml."""
    result = transformed(without_routes(released))
    functions = of_type(result, "AWS::Lambda::Function")
    assert {function["Properties"]["Code"]["S3Bucket"] for function in functions.values()} == {GIVEN["PackageBucket"]}
    # The transform puts its value in place, after which nothing is left to use it.
    del result["Parameters"]["ReleaseShift"]
    assert [str(match) for match in cfnlint.api.lint(json.dumps(result), regions=["us-east-1"])] == []


def test_what_only_a_package_has_names_nothing_that_is_missing_or_shared(deployed):
    stack = stacks.Stack("package", deployed)
    assert broken(stack) + shared(stack) == []


def test_nested_templates_are_those_of_the_checkout(packaged):
    for path in (packaged / "infra").iterdir():
        assert parsed(path.read_text()) == parsed((stacks.ROOT / "infra" / path.name).read_text())


def test_lambda_can_start_the_program_in_a_zip(packaged):
    for path in (packaged / "arm64").iterdir():
        with zipfile.ZipFile(path) as archive:
            (entry,) = archive.infolist()
            assert (entry.filename, entry.create_system, entry.external_attr >> 16) == ("bootstrap", 3, 0o100755)
            assert archive.read(entry) == program(MACHINES["arm64"], path.stem.encode())


def test_the_layer_has_the_models_folder(packaged):
    with zipfile.ZipFile(packaged / "models.zip") as archive:
        assert sorted(archive.namelist()) == sorted(path.name for path in (stacks.ROOT / "models").iterdir())
        assert archive.read("models.toml") == (stacks.ROOT / "models/models.toml").read_bytes()


def test_sums_are_those_of_the_files_and_the_same_each_time(packaged, built, tmp_path):
    lines = (packaged / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((packaged / name).read_bytes()).hexdigest() == digest
    assert len(lines) == sum(path.is_file() for path in packaged.rglob("*")) - 1
    flags = ["--releases"] if "ReleaseShift" in template(packaged)["Parameters"] else []
    again = made(built, tmp_path / "p", "--bucket", GIVEN["PackageBucket"], *flags)
    assert (again / "SHA256SUMS").read_text().splitlines() == lines


def test_a_package_of_one_architecture_deploys_no_other(built, tmp_path):
    folder = made(built / "x86_64", tmp_path / "p", "--arch", "x86_64")
    parameters = template(folder)["Parameters"]
    assert parameters["Architecture"]["AllowedValues"] == ["x86_64"]
    assert parameters["Architecture"]["Default"] == "x86_64"
    assert not (folder / "arm64").exists()


def test_without_a_bucket_the_template_asks_for_one(built, tmp_path):
    assert "Default" not in template(made(built, tmp_path / "p"))["Parameters"]["PackageBucket"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version", "a b"], "'a b' is no version"),
        (["--version", "1", "--bucket", "has.dots"], "'has.dots' is no name of a bucket"),
        (["--version", "1", "--arch", "arm64,riscv"], "'riscv' is no architecture"),
        (["--version", "1", "--built", "nowhere"], "there is no program of the function admin for arm64: nowhere/arm64/admin/bootstrap"),
    ],
)
def test_wrong_arguments_are_named(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        package(*arguments, "--folder", tmp_path / "p")
    assert end.value.code
    assert said in f"{end.value.code} {capsys.readouterr().err}"


def test_a_program_for_another_machine_is_refused(built, tmp_path):
    with pytest.raises(SystemExit, match="is no Linux program for arm64"):
        package("--version", "1", "--built", built / "x86_64", "--arch", "arm64", "--folder", tmp_path / "p")


def test_a_folder_with_other_files_is_left_alone(built, tmp_path):
    (tmp_path / "mine").write_text("not a package")
    with pytest.raises(SystemExit, match="has files that are no package"):
        package("--version", "1", "--built", built, "--folder", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """An AWS CLI that writes down its commands, and finds as many objects as told."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()

    def finds(objects):
        (folder / "aws").write_text(f'#!/bin/sh\necho "$*" >> {calls}\ncase "$2" in list-objects-v2) echo {objects};; esac\n')
        (folder / "aws").chmod(0o755)
        return lambda: [line.split() for line in calls.read_text().splitlines()]

    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return finds


def uploading(built, folder):
    return ["--version", "1.2.3", "--built", built, "--folder", folder, "--bucket", "some-bucket"]


def test_a_package_is_uploaded_below_its_version(aws, built, script, tmp_path):
    calls = aws(0)
    folder = tmp_path / "p"
    package(*uploading(built, folder), upload=script.upload)
    listed, copied = calls()
    assert listed[:6] == ["s3api", "list-objects-v2", "--bucket", "some-bucket", "--prefix", "weir/1.2.3/"]
    assert copied == ["s3", "cp", "--recursive", "--only-show-errors", str(folder), "s3://some-bucket/weir/1.2.3/"]


def test_a_version_that_stacks_may_use_is_not_replaced_by_accident(aws, built, script, tmp_path):
    calls = aws(1)
    command = uploading(built, tmp_path / "p")
    with pytest.raises(SystemExit, match="s3://some-bucket/weir/1.2.3/ has a package"):
        package(*command, upload=script.upload)
    assert len(calls()) == 1
    package(*command, "--replace", upload=script.upload)
    assert len(calls()) == 3


def test_it_runs_as_a_program(built, tmp_path):
    command = [stacks.ROOT / "infra/package", "--version", "1", "--built", built, "--folder", tmp_path / "p"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout == f"{tmp_path}/p: version 1 for arm64, x86_64\n", result.stderr


# --- Releases -----------------------------------------------------------------------------------------------------------


def published(template, **parameters):
    """The logical ids of the versions of functions: CloudFormation publishes one where it is new."""
    versions = of_type(transformed(template, **parameters), "AWS::Lambda::Version")
    return {version["Properties"]["FunctionName"]["Ref"]: name for name, version in versions.items()}


def test_callers_reach_functions_by_their_alias_only(deployed):
    functions = set(of_type(deployed, "AWS::Lambda::Function"))
    assert {alias["Properties"]["FunctionName"]["Ref"] for alias in of_type(deployed, "AWS::Lambda::Alias").values()} == functions
    (api,) = of_type(deployed, "AWS::ApiGateway::RestApi").values()
    called = set(re.findall(r"\$\{(\w+)[^}]*\}/(?:invocations|response-streaming-invocations)", json.dumps(api)))
    assert called and all(name.endswith("Aliaslive") for name in called)
    for mapping in of_type(deployed, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["Properties"]["FunctionName"]["Ref"].endswith("Aliaslive")
    for permission in of_type(deployed, "AWS::Lambda::Permission").values():
        assert permission["Properties"]["FunctionName"]["Ref"].endswith("Aliaslive")
    for schedule in of_type(deployed, "AWS::Scheduler::Schedule").values():
        assert schedule["Properties"]["Target"]["Arn"]["Ref"].endswith("Aliaslive")


def test_each_package_publishes_every_function(built, released, tmp_path):
    package("--version", "1.2.4", "--built", built, "--folder", tmp_path / "p", "--releases")
    later = template(tmp_path / "p")
    before, after = published(without_routes(released)), published(without_routes(later))
    assert [name for name in before if before[name] == after[name]] == []
    # Lambda refuses to publish a function that did not change, as one with the same program would not.
    for name in of_type(released, "AWS::Serverless::Function"):
        old, new = (source["Resources"][name]["Properties"]["Description"] for source in (released, later))
        assert old != new


def test_a_parameter_publishes_every_function_that_it_changes_and_no_other(released, deployed):
    functions = without_routes(released)
    before = published(functions)
    followed = {name: changes(released, deployed, name) for name in released["Parameters"]}
    assert set(before) in followed.values() and set() in followed.values()
    # One parameter of each kind: those that change the same functions are followed in the same way.
    for changed in {frozenset(changed) for changed in followed.values()}:
        parameter = next(name for name, changes in followed.items() if changes == changed and name not in GIVEN)
        after = published(functions, **{parameter: another(released["Parameters"][parameter])})
        assert {function for function in before if before[function] != after[function]} == changed, parameter


def changes(released, deployed, name):
    """The functions that a parameter changes. The address of their code must name it, and that of no other function."""
    if released["Parameters"][name].get("NoEcho"):
        return set()
    changed = {function for function in of_type(deployed, "AWS::Lambda::Function") if depends(deployed, function, name)}
    for function, resource in of_type(released, "AWS::Serverless::Function").items():
        named = {"Ref": name} in resource["Properties"]["CodeUri"]["Key"]["Fn::Select"][1]
        assert named == (function in changed), f"{function}, {name}"
    return changed


def another(parameter):
    values = parameter.get("AllowedValues") or [5 if parameter["Type"] == "Number" else "other"]
    return next(value for value in values if value != parameter.get("Default"))


def depends(template, function, parameter):
    """Whether a published function has other properties with another value of the parameter."""
    properties = {name: value for name, value in template["Resources"][function]["Properties"].items() if name not in ("Role", "Code", "ReservedConcurrentExecutions")}
    return mentions(template, properties, parameter)


def mentions(template, value, parameter):
    if isinstance(value, list):
        return any(mentions(template, each, parameter) for each in value)
    if not isinstance(value, dict):
        return False
    for key, inner in value.items():
        if key == "Ref" and inner == parameter:
            return True
        if key == "Fn::Sub" and f"${{{parameter}}}" in json.dumps(inner):
            return True
        if key == "Fn::If" and mentions(template, template["Conditions"][inner[0]], parameter):
            return True
        if key == "Condition" and isinstance(inner, str) and mentions(template, template["Conditions"][inner], parameter):
            return True
        if mentions(template, inner, parameter):
            return True
    return False


def test_no_value_that_must_not_be_seen_is_written_into_the_template(released):
    secret = [name for name, parameter in released["Parameters"].items() if parameter.get("NoEcho")]
    assert secret
    result = transformed(released, **dict.fromkeys(secret, "hidden-value"))
    assert "hidden-value" not in json.dumps(result)


def test_the_alarms_of_a_release_get_the_parameters_that_they_have(released):
    nested = stacks.read(stacks.ROOT / "infra/release.yaml")
    assert set(released["Resources"]["ReleaseAlarms"]["Properties"]["Parameters"]) == set(nested["Parameters"])
    assert {"CrashesAlarm", "ErrorsAlarm"} <= set(nested["Outputs"])


def test_every_function_rolls_back_on_both_alarms(deployed):
    groups = of_type(deployed, "AWS::CodeDeploy::DeploymentGroup")
    assert len(groups) == len(of_type(deployed, "AWS::Lambda::Function"))
    for group in groups.values():
        named = {alarm["Name"]["Fn::GetAtt"][1] for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]}
        assert named == {"Outputs.CrashesAlarm", "Outputs.ErrorsAlarm"}
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["Properties"]["AutoRollbackConfiguration"]["Events"]
        assert group["Properties"]["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent5Minutes"}


def test_what_callers_wait_for_is_kept_warm_if_an_operator_pays(released):
    functions = without_routes(released)
    assert "ProvisionedConcurrencyConfig" not in json.dumps(kept_warm(functions, "0"))
    assert set(kept_warm(functions, "2")) == {"ChatFunction", "ResponsesFunction"}


def kept_warm(template, number):
    """The functions whose alias has environments that are always started, with their number."""
    result = transformed(template, ProvisionedConcurrency=number)
    result = resolve.resolved(result, conftest.defaults(stacks.Stack("package", result)) | {"ProvisionedConcurrency": number})
    aliases = [alias["Properties"] for alias in of_type(result, "AWS::Lambda::Alias").values()]
    warm = {alias["FunctionName"]["Ref"]: alias["ProvisionedConcurrencyConfig"] for alias in aliases if "ProvisionedConcurrencyConfig" in alias}
    assert all(each == {"ProvisionedConcurrentExecutions": number} for each in warm.values())
    return warm


def test_roles_that_only_a_package_makes_have_the_bound_too(deployed):
    bounds = {name: role["Properties"].get("PermissionsBoundary") for name, role in of_type(deployed, "AWS::IAM::Role").items()}
    assert [name for name, bound in bounds.items() if bound != {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}] == []


def test_a_parameter_that_only_a_condition_names_is_followed(script):
    conditions = {"Has": {"Fn::And": [{"Condition": "Inner"}]}, "Inner": {"Fn::Equals": [{"Ref": "A"}, "x"]}}
    template = {"Globals": {"Function": {}}, "Parameters": {"A": {}, "B": {}}, "Conditions": conditions}
    assert script.releases.settings(template, {"Timeout": {"Fn::If": ["Has", 1, 2]}, "Role": {"Ref": "B"}}) == ["A"]
