"""Alarms end when their metrics have no data, dashboards find metrics of any stack, and the API's log joins with the functions'."""

import copy
import json
import re

import pytest
from conditions import SUB
from conftest import defaults
from resolve import resolved
from stacks import Stack

# A stack's name, which is the namespace of its metrics, may have hyphens.
NAME = "weir-prod"
FILLED = r"FILL\(\s*{}\s*,\s*(\d+|REPEAT|LINEAR)\s*\)"


def metrics(alarm):
    """The metrics of an alarm by id, and its expressions by id."""
    listed = {each["Id"]: each for each in alarm.get("Metrics", [])}
    return (
        {id: each["MetricStat"]["Metric"] for id, each in listed.items() if "MetricStat" in each},
        {id: plain(each["Expression"]) for id, each in listed.items() if "Expression" in each},
    )


def plain(text):
    pattern = text if isinstance(text, str) else text["Fn::Sub"]
    return SUB.sub("1", pattern if isinstance(pattern, str) else pattern[0])


def stuck(alarm):
    """Why an alarm on metrics of DynamoDB, which have no data while all is well, would stay as it is."""
    if alarm.get("Namespace") == "AWS/DynamoDB":
        return "it ignores TreatMissingData: use an expression that fills in what is missing"
    by_id, expressions = metrics(alarm)
    sparse = {id for id, metric in by_id.items() if metric["Namespace"] == "AWS/DynamoDB"}
    for id in sparse:
        for expression in expressions.values():
            if re.search(rf"\b{id}\b", re.sub(FILLED.format(id), "", expression)):
                return f"{expression} uses {id} where it may be missing"
    if sparse and not asked_for(alarm, expressions) & set(by_id) - sparse:
        return "all its metrics may be missing at once, and then an expression of them is missing too"
    return None


def asked_for(alarm, expressions):
    """The metrics and expressions that the alarm's own expression is made of."""
    found, pending = set(), [each["Id"] for each in alarm.get("Metrics", []) if each.get("ReturnData", True)]
    while pending:
        if (id := pending.pop()) not in found:
            found.add(id)
            pending += re.findall(r"\b[a-z]\w*\b", expressions.get(id, ""))
    return found


def test_no_alarm_on_dynamodb_relies_on_missing_data(family):
    alarms = [(name, alarm) for stack in family for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items()]
    problems = [f"{name}: {why}" for name, alarm in alarms if (why := stuck(alarm["Properties"]))]
    assert not problems, "\n".join(problems)
    assert any("AWS/DynamoDB" in json.dumps(alarm) for _, alarm in alarms)


def stat(id, namespace="AWS/DynamoDB"):
    return {"Id": id, "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": "SystemErrors"}}}


@pytest.mark.parametrize(
    "alarm",
    [
        {"Namespace": "AWS/DynamoDB", "MetricName": "SystemErrors", "TreatMissingData": "notBreaching"},
        {"Metrics": [{"Id": "all", "Expression": "r + w"}, stat("r"), stat("w"), stat("s", "AWS/Lambda")]},
        {"Metrics": [{"Id": "all", "Expression": "FILL(r, 0) + w + s"}, stat("r"), stat("w"), stat("s", "AWS/Lambda")]},
        {"Metrics": [{"Id": "all", "Expression": "FILL(r, 0) + FILL(w, 0)"}, stat("r"), stat("w")]},
        {"Metrics": [{"Id": "all", "Expression": "FILL(r, 0)"}, {"Id": "zero", "ReturnData": False, "Expression": "0 * s"}, {**stat("s", "AWS/Lambda"), "ReturnData": False}, stat("r")]},
    ],
)
def test_an_alarm_that_would_not_end_is_found(alarm):
    assert stuck(alarm)


# --- searches -------------------------------------------------------------------------------------------------------------


def bodies(family):
    """The dashboards as CloudWatch gets them."""
    for stack in family:
        for name, dashboard in stack.of_type("AWS::CloudWatch::Dashboard").items():
            body = dashboard["Properties"]["DashboardBody"]
            numbers = [name for name, meant in stack.parameters.items() if meant["Type"] == "Number"]
            pattern = body if isinstance(body, str) else body["Fn::Sub"]
            yield name, json.loads(SUB.sub(lambda match: "10" if match[1] in numbers or match[1] in ("AddedLatency", "JobStart") else NAME, pattern))


def searches(value):
    """All search expressions below a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [found for each in value for found in searches(each)]
    return [value] if isinstance(value, str) and "SEARCH(" in value else []


def unquoted(search):
    """Parts of a search that CloudWatch would not take literally: a hyphen between words excludes the second."""
    schema, terms = re.search(r"\{(.*?)\}([^']*)'", search).groups()
    namespace, *dimensions = re.findall(r'"[^"]*"|[^,]+', schema)
    words = [namespace, *(word for word in dimensions if not re.fullmatch(r"\w+", word.strip()))]
    values = re.findall(r'=\s*("[^"]*"|\S+)', terms)
    return [word for word in (*words, *values) if not (word.strip().startswith('"') and word.strip().endswith('"'))]


def test_searches_quote_namespaces_and_values(family):
    found = [(name, search) for name, body in bodies(family) for search in searches(body)]
    problems = [f"{name}: {search} has {words} without quotes" for name, search in found if (words := unquoted(search))]
    assert not problems, "\n".join(problems)
    assert found and all(f'"{NAME}"' in search for _, search in found)


def test_a_search_without_quotes_is_found(family):
    for stack in family:
        for name, dashboard in stack.of_type("AWS::CloudWatch::Dashboard").items():
            mutant = copy.deepcopy(dashboard)
            pattern = mutant["Properties"]["DashboardBody"]["Fn::Sub"]
            mutant["Properties"]["DashboardBody"]["Fn::Sub"] = pattern.replace('{\\"${Name}\\",', "{${Name},")
            ((_, body),) = bodies([Stack("mutant", {**stack.template, "Resources": {name: mutant}})])
            assert all(unquoted(search) == [NAME] for search in searches(body))


def test_metrics_and_expressions_of_a_widget_have_ids_of_their_own(family):
    for name, body in bodies(family):
        for widget in body["widgets"]:
            ids = re.findall(r'"id": "(\w+)"', json.dumps(widget))
            assert len(ids) == len(set(ids)), f"{name}: {widget['properties']['title']}"


# --- access log -----------------------------------------------------------------------------------------------------------

# What joins a line with those of the function, of Lambda and of X-Ray.
JOINS = {"request_id": "$context.requestId", "invocation": "$context.integration.requestId", "trace": "$context.xrayTraceId"}
# Whatever holds what a caller sent: ids in the path, a key, a body.
SENT = r"\$(?:context\.path\b|context\.(?:authorizer|error\.message|identity\.(?:apiKey|userAgent))|input|stageVariables)"


def test_the_log_of_the_api_joins_with_others_and_quotes_no_request(root):
    (stage,) = Stack("logged", resolved(root.template, defaults(root) | {"AccessLog": "yes"})).of_type("AWS::ApiGateway::Stage").values()
    pattern = stage["Properties"]["AccessLogSetting"]["Format"]
    line = json.loads(pattern)
    assert line | JOINS == line
    assert not re.search(SENT, pattern)


def test_without_the_parameter_the_api_has_no_log(usual):
    """It needs a role that an account may not have, and then the stage would fail."""
    (stage,) = usual.of_type("AWS::ApiGateway::Stage").values()
    assert "AccessLogSetting" not in stage["Properties"]
