"""Deploys the built functions to the emulator and runs the tests: deploy.py <target/lambda> [arguments of pytest]"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse

import emulator
import template

STACK = "weir"
TESTS = ("tests/deployed", "tests/sdk/python")
# What template.yaml leaves open. The emulator runs functions as processes of this machine, which have no /opt.
PARAMETERS = {"Architecture": "x86_64", "Models": "s3://weir-files/models.toml"}


def main():
    functions, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="weir-deployed-") as home, emulator.running(Path(home)) as url:
        os.environ.update(environment := emulator.environment(url, home))
        adapted = adapted_template()
        deploy(package(adapted, Path(functions), Path(home) / "package"))
        outputs = stack_outputs()
        # Base URLs name hosts of AWS.
        api = outputs["BaseUrl"].split("//")[1].split(".")[0]
        repeat_gateway_responses(api, adapted["Resources"]["Api"]["Properties"]["GatewayResponses"])
        environment |= {
            "WEIR_BASE_URL": f"{url}/restapis/{api}/prod/_user_request_/v1",
            "WEIR_ADMIN_KEY": secret(outputs["AdminKeySecret"]),
            "WEIR_STACK": STACK,
        }
        tests = subprocess.run([sys.executable, "-m", "pytest", *TESTS, "--none-skipped", *arguments], cwd=emulator.ROOT, env=environment)
        if tests.returncode:
            print_logs()
            sys.exit(tests.returncode)


def adapted_template():
    source = yaml_parse((emulator.ROOT / "template.yaml").read_text())
    differences = template.read(Path(__file__).with_name("differences.toml"))
    print(f"the copy differs from template.yaml by {len(differences)} listed differences")
    return template.adapted(source, differences)


def package(adapted, functions, folder):
    """A folder as `sam build` would make it: the adapted template, each function's program and the models."""
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            code = resource["Properties"]["CodeUri"]
            (folder / code).mkdir(parents=True)
            shutil.copy2(functions / resource["Metadata"]["BuildProperties"]["Binary"] / "bootstrap", folder / code)
    shutil.copytree(emulator.ROOT / "models", folder / "models")
    path = folder / "template.json"
    path.write_text(json.dumps(adapted))
    return path


def deploy(path):
    files = boto3.client("s3", config=boto3.session.Config(s3={"addressing_style": "path"}))
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


def repeat_gateway_responses(api, responses):
    """Gives the emulator what it dropped: the answers that API Gateway gives by itself."""
    gateway = boto3.client("apigateway")
    known = gateway.get_gateway_responses(restApiId=api)["items"]
    if not all(response["defaultResponse"] for response in known):
        raise SystemExit("the emulator reads GatewayResponses by now: delete this and its entry in differences.toml")
    for kind, response in responses.items():
        headers = response["ResponseParameters"]["Headers"]
        gateway.put_gateway_response(
            restApiId=api,
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
            **({"statusCode": str(response["StatusCode"])} if "StatusCode" in response else {}),
        )
    gateway.create_deployment(restApiId=api, stageName="prod")


def stack_outputs():
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def secret(name):
    return boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]


def print_logs(lines=30):
    """The last lines of every function's log."""
    logs = boto3.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        events = logs.filter_log_events(logGroupName=name)["events"]
        print(f"--- {name}")
        for event in events[-lines:]:
            print(event["message"].rstrip())


if __name__ == "__main__":
    main()
