"""Deploys the built functions to the emulator and runs the tests: deploy.py <target/lambda> [arguments of pytest]"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import boto3
from botocore.config import Config
from samcli.yamlhelper import yaml_parse

import emulator
import template

STACK = "weir"
TESTS = ("tests/deployed", "tests/sdk/python")
# What template.yaml leaves open. The emulator runs functions as processes of this machine, which have no /opt. All that the
# template can make is made, but for alarms and WAF: the emulator knows neither alarms on expressions nor associations of web ACLs.
PARAMETERS = {
    "Architecture": "x86_64",
    "Models": "s3://weir-files/models.toml",
    "Bedrock": "yes",
    "AccessLog": "with-role",
}


def main():
    functions, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the emulator is stopped.
    listed = tomllib.loads(Path(__file__).with_name("differences.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="weir-deployed-") as home, emulator.running(Path(home)) as url:
        os.environ.update(environment := emulator.environment(url, home))
        adapted = template.adapted(yaml_parse((emulator.ROOT / "template.yaml").read_text()), listed["difference"])
        deploy(package(adapted, Path(functions), Path(home) / "package"))
        outputs = stack_outputs()
        # Base URLs name hosts of AWS.
        api = outputs["BaseUrl"].split("//")[1].split(".")[0]
        for repeated in listed["repeated"]:
            REPEAT[repeated["path"]](api, adapted)
        environment |= {
            "WEIR_BASE_URL": f"{url}/restapis/{api}/prod/_user_request_/v1",
            "WEIR_ADMIN_KEY": secret(outputs["AdminKeySecret"]),
            "WEIR_STACK": STACK,
        }
        command = [sys.executable, "-m", "pytest", *TESTS, "--none-skipped", *arguments]
        if status := subprocess.run(command, cwd=emulator.ROOT, env=environment).returncode:
            print_logs()
            sys.exit(status)


def package(adapted, functions, folder):
    """A folder as `sam build` would make it: the adapted template, each function's program, and the rest that it names."""
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            code = resource["Properties"]["CodeUri"]
            (folder / code).mkdir(parents=True)
            shutil.copy2(functions / resource["Metadata"]["BuildProperties"]["Binary"] / "bootstrap", folder / code)
    for other in ("infra", "models"):
        shutil.copytree(emulator.ROOT / other, folder / other)
    path = folder / "template.json"
    path.write_text(json.dumps(adapted))
    return path


def deploy(path):
    files = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    files.create_bucket(Bucket="weir-files")
    files.upload_file(emulator.ROOT / "tests/sdk/models.toml", "weir-files", "models.toml")
    subprocess.run(
        [
            *("sam", "deploy", "--template-file", path, "--stack-name", STACK, "--s3-bucket", "weir-files"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in PARAMETERS.items())),
        ],
        cwd=path.parent,
        check=True,
    )


def repeat_gateway_responses(api, adapted):
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


# How what is listed as repeated is given to the emulator once more.
REPEAT = {"Resources.Api.Properties.GatewayResponses": repeat_gateway_responses}


def stack_outputs():
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
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
