"""Deploys the built functions to the emulator, twice, and runs the tests: deploy.py <folder of programs> [arguments of pytest]"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config
from samcli.yamlhelper import yaml_parse

import emulator
import template

TESTS = ("tests/deployed", "tests/sdk/python")
MODELS = {"Models": "s3://weir-files/models.toml"}
# The first stack has the defaults, as a new user has them. Only its models are in S3: the emulator runs functions as processes
# of this machine, which have no /opt.
FIRST = MODELS
# The second, beside it, has the rest of what the template can make, but for alarms, WAF and CloudFront: the emulator knows
# neither alarms on expressions, nor associations of web ACLs, nor how CloudFront reaches an API.
SECOND = MODELS | {
    "Architecture": "x86_64",
    "Bedrock": "no",
    "AccessLog": "with-role",
    "AllowedOrigins": "https://app.example.com",
    "DeletionProtection": "no",
    "LogRetentionDays": "7",
    "Revision": "2",
    "Tracing": "Active",
}


def main():
    programs, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the emulator is stopped.
    listed = tomllib.loads(Path(__file__).with_name("differences.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="weir-deployed-") as home, emulator.running(Path(home)) as url:
        os.environ.update(environment := emulator.environment(url, home))
        # Through JSON, so that what an anchor names is copied to each place.
        source = json.loads(json.dumps(yaml_parse((emulator.ROOT / "template.yaml").read_text())))
        adapted = template.adapted(source, listed["difference"])
        packaged = package(adapted, Path(programs), Path(home) / "package")
        repeats = [REPEAT[repeated["path"]] for repeated in listed["repeated"]]
        first = deploy("weir", packaged, FIRST, adapted, repeats, url)
        second = deploy("weir-second", packaged, SECOND, adapted, repeats, url)
        if status := run_tests(environment | first, environment | second, Path(home), arguments):
            print_logs()
            sys.exit(status)


# The emulator reads a function's answer as text: sound and contents of files are none. It has no vector index. And what only a server without Lambda has.
NOT_TRIED = ["-k", "not test_speech and not test_content and not test_locally and not test_vector_stores"]


def run_tests(first, second, home, arguments):
    """Runs everything against the first stack and, meanwhile, the routes against the second. An exit status."""
    pytest = [sys.executable, "-m", "pytest", "--none-skipped"]
    with (home / "second.log").open("w+") as log:
        routes = [*pytest, "--quiet", "-p", "no:cacheprovider", "tests/deployed/test_routes.py"]
        beside = subprocess.Popen(routes, cwd=emulator.ROOT, env=second, stdout=log, stderr=subprocess.STDOUT)
        try:
            status = subprocess.run([*pytest, *TESTS, *NOT_TRIED, *arguments], cwd=emulator.ROOT, env=first).returncode
            beside.wait(120)
        finally:
            beside.kill()
            beside.wait()
        log.seek(0)
        print(f"--- the second stack\n{log.read()}")
    return status or beside.returncode


def package(adapted, programs, folder):
    """A folder as `sam build` would make it: the adapted template, each function's program, and the rest that it names."""
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            archive(programs / resource["Metadata"]["BuildProperties"]["Binary"], folder / resource["Properties"]["CodeUri"])
    for other in ("infra", "models"):
        shutil.copytree(emulator.ROOT / other, folder / other)
    path = folder / "template.json"
    path.write_text(json.dumps(adapted))
    files = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    files.create_bucket(Bucket="weir-files")
    files.upload_file(emulator.ROOT / "tests/sdk/models.toml", "weir-files", "models.toml")
    return path


def archive(program, path):
    """Makes the archive of a function from its program. It is not compressed, and has no symbols: both would only cost time."""
    if not program.is_file():
        raise SystemExit(f"there is no program {program}: cargo build --workspace --bins makes it")
    path.parent.mkdir(parents=True, exist_ok=True)
    bootstrap = path.with_suffix(".bootstrap")
    subprocess.run(["strip", "--strip-all", "-o", bootstrap, program], check=True)
    member = zipfile.ZipInfo("bootstrap")
    member.external_attr = 0o755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, bootstrap.read_bytes())
    bootstrap.unlink()


def deploy(name, packaged, parameters, adapted, repeats, url):
    """Makes a stack. What tests must know of it, as variables of their environment."""
    subprocess.run(
        [
            *("sam", "deploy", "--template-file", packaged, "--stack-name", name, "--s3-bucket", "weir-files"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        ],
        cwd=packaged.parent,
        check=True,
    )
    outputs = stack_outputs(name)
    # Base URLs name hosts of AWS.
    api = outputs["BaseUrl"].split("//")[1].split(".")[0]
    for repeat in repeats:
        repeat(name, api, adapted)
    return {
        "WEIR_BASE_URL": f"{url}/restapis/{api}/prod/_user_request_/v1",
        "WEIR_ADMIN_KEY": secret(outputs["AdminKeySecret"]),
        "WEIR_STACK": name,
        "WEIR_ORIGINS": parameters.get("AllowedOrigins", ""),
    }


def repeat_gateway_responses(_, api, adapted):
    """The answers that API Gateway gives by itself."""
    gateway = boto3.client("apigateway")
    if not all(known["defaultResponse"] for known in gateway.get_gateway_responses(restApiId=api)["items"]):
        raise SystemExit("the emulator reads GatewayResponses by now: delete what repeats them")
    for kind, response in adapted["Resources"]["Api"]["Properties"]["GatewayResponses"].items():
        headers = response["ResponseParameters"]["Headers"]
        gateway.put_gateway_response(
            restApiId=api,
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
            **({"statusCode": str(response["StatusCode"])} if "StatusCode" in response else {}),
        )
    gateway.create_deployment(restApiId=api, stageName="prod")


def repeat_methods(stack, api, adapted):
    """The method ANY of each path."""
    gateway, functions = boto3.client("apigateway"), boto3.client("cloudformation")
    resources = {resource["path"]: resource for resource in gateway.get_resources(restApiId=api, limit=500)["items"]}
    if any("ANY" in resource.get("resourceMethods", {}) for resource in resources.values()):
        raise SystemExit("the emulator reads ANY by now: delete what repeats it")
    for name, resource in adapted["Resources"].items():
        events = [event["Properties"] for event in resource["Properties"].get("Events", {}).values() if event["Type"] == "Api"]
        if not events:
            continue
        function = functions.describe_stack_resource(StackName=stack, LogicalResourceId=name)["StackResourceDetail"]["PhysicalResourceId"]
        arn = boto3.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        for event in events:
            method = {"restApiId": api, "resourceId": resources[event["Path"]]["id"], "httpMethod": event["Method"]}
            gateway.put_method(**method, authorizationType="NONE")
            uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
            gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="prod")


# How what is listed as repeated is given to the emulator once more.
REPEAT = {
    "Resources.Api.Properties.GatewayResponses": repeat_gateway_responses,
    "Resources.*.Properties.Events.*.Properties.Method": repeat_methods,
}


def stack_outputs(name):
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def secret(name):
    return boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]


def print_logs(lines=20):
    """The last lines of every function's log."""
    logs = boto3.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        said = [event["message"].rstrip() for event in logs.filter_log_events(logGroupName=name)["events"]]
        # Lambda's own lines say when an invocation began and ended.
        said = [line for line in said if not line.startswith(("START ", "END ", "REPORT "))]
        print(f"--- {name}", *said[-lines:], sep="\n")


if __name__ == "__main__":
    main()
