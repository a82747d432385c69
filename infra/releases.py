"""Adds to a packaged template what shifts calls to a new version of the functions bit by bit, and takes them back.

template.yaml itself has no alias. SAM publishes a version of a function where the address of its code changes, and does not look
at the parameters that its other properties name: a new `LogLevel` would reach no caller, and no message would say so. Here the
address of the code names the parameters, too.
"""

SHIFTS = [
    "AllAtOnce",
    *(f"Canary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)),
    "Linear10PercentEvery1Minute",
    *(f"Linear10PercentEvery{minutes}Minutes" for minutes in (2, 3, 10)),
]
# Callers wait for these: the cold start of a worker delays no caller.
WARM = ("chat", "responses")
ALARMS = "ReleaseAlarms"
ROLE = "ReleaseRole"
# Properties of a function in SAM that are no part of what Lambda publishes.
APART = {"CodeUri", "Policies", "Role", "PermissionsBoundary", "Events", "EventInvokeConfig", "ReservedConcurrentExecutions"}


def add(template, functions, version):
    """Adds aliases, shifting and warm environments. `functions` has the program of each function by its logical id."""
    template["Parameters"]["ReleaseShift"] = {
        "Type": "String",
        "Default": SHIFTS[0],
        "AllowedValues": SHIFTS,
        "Description": "How calls go over to a new version. Failures while they do roll the stack back.",
    }
    template["Parameters"]["ProvisionedConcurrency"] = {
        "Type": "Number",
        "Default": 0,
        "MinValue": 0,
        "Description": f"Environments that are always started, of each of {' and '.join(WARM)}. They cost money around the clock.",
    }
    template["Conditions"]["KeepsWarm"] = {"Fn::Not": [{"Fn::Equals": [{"Ref": "ProvisionedConcurrency"}, 0]}]}
    template["Resources"][ALARMS] = alarms(functions)
    template["Resources"][ROLE] = role(template)
    for name, program in functions.items():
        properties = template["Resources"][name]["Properties"]
        publish(template, properties, version)
        shift(properties, program)
    # Queues would go on calling what is not released.
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            resource["Properties"]["FunctionName"]["Ref"] += ".Alias"


def alarms(functions):
    names = {name.removesuffix("Function"): {"Ref": name} for name in functions}
    properties = {"TemplateURL": "infra/release.yaml", "Parameters": {"Name": {"Ref": "AWS::StackName"}, **names}}
    return {"Type": "AWS::CloudFormation::Stack", "Properties": properties}


def role(template):
    """The role of CodeDeploy, with the permissions boundary that the functions' roles have."""
    properties = {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        },
        "ManagedPolicyArns": [{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda"}],
    }
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role" and "PermissionsBoundary" in resource["Properties"]:
            properties["PermissionsBoundary"] = resource["Properties"]["PermissionsBoundary"]
            break
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def publish(template, properties, version):
    """Makes a version of the function for each package and each value of its parameters."""
    properties["AutoPublishAlias"] = "live"
    # Lambda refuses to publish what did not change, and a package may bring the same program again.
    properties["Description"] = f"weir {version}"
    followed = [{"Ref": name} for name in settings(template, properties)]
    properties["CodeUri"]["Key"] = {"Fn::Select": [0, [properties["CodeUri"]["Key"], *followed]]}


def settings(template, properties):
    """The parameters that what Lambda publishes depends on. SAM writes their values into the template that CloudFormation keeps, so
    those that must not be seen are none of them."""
    published = {name: value for name, value in properties.items() if name not in APART}
    found, conditions = set(), set()
    collect([template["Globals"]["Function"], published], found, conditions)
    seen = set()
    while unseen := conditions - seen:
        name = unseen.pop()
        seen.add(name)
        collect(template["Conditions"][name], found, conditions)
    parameters = template["Parameters"]
    return sorted(name for name in found & set(parameters) if not parameters[name].get("NoEcho"))


def collect(value, names, conditions):
    """Adds the names in a part of a template: of parameters and resources, and of conditions."""
    if isinstance(value, list):
        for each in value:
            collect(each, names, conditions)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                names.add(inner)
            elif key == "Condition" and isinstance(inner, str):
                conditions.add(inner)
            elif key == "Fn::If":
                conditions.add(inner[0])
                collect(inner[1:], names, conditions)
            elif key == "Fn::Sub":
                text, *values = inner if isinstance(inner, list) else [inner]
                names.update(part.split("}")[0] for part in text.split("${")[1:])
                collect(values, names, conditions)
            else:
                collect(inner, names, conditions)


def shift(properties, program):
    properties["DeploymentPreference"] = {
        "Type": {"Ref": "ReleaseShift"},
        "Role": {"Fn::GetAtt": [ROLE, "Arn"]},
        "Alarms": [{"Fn::GetAtt": [ALARMS, f"Outputs.{alarm}"]} for alarm in ("CrashesAlarm", "ErrorsAlarm")],
    }
    if program in WARM:
        warm = {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}}
        properties["ProvisionedConcurrencyConfig"] = {"Fn::If": ["KeepsWarm", warm, {"Ref": "AWS::NoValue"}]}
