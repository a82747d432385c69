"""What API Gateway answers by itself looks like any other error, and says nothing of the request."""

import copy
import json
import re

import botocore.session
import pytest

# What a type means to the caller: the status that the template sets (None keeps that of API Gateway), and the code of the envelope. Types that are not here belong to authorizers, API
# keys and validators, which the API does not have, and need no more than the general texts.
MEANING = {
    "MISSING_AUTHENTICATION_TOKEN": (404, "unknown_url"),
    "INVALID_SIGNATURE": (404, "unknown_url"),
    "RESOURCE_NOT_FOUND": (404, "unknown_url"),
    "REQUEST_TOO_LARGE": (None, "request_too_large"),
    "THROTTLED": (None, "rate_limit_exceeded"),
    "QUOTA_EXCEEDED": (None, "rate_limit_exceeded"),
    "INTEGRATION_FAILURE": (429, "rate_limit_exceeded"),
    "INTEGRATION_TIMEOUT": (None, "timeout"),
    "WAF_FILTERED": (None, "request_blocked"),
    "ACCESS_DENIED": (None, "access_denied"),
}
# The types that fall back to DEFAULT_5XX; all others fall back to DEFAULT_4XX.
SERVER = ("API_CONFIGURATION_ERROR", "AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT")
HEADER = "gatewayresponse.header."
GENERAL = ("DEFAULT_4XX", "DEFAULT_5XX")


def known_types():
    """Every type that API Gateway has, as its own model lists them."""
    return botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType").enum


@pytest.fixture(scope="module")
def responses(usual):
    (api,) = usual.of_type("AWS::ApiGateway::RestApi").values()
    return api["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]


def effective(responses, kind):
    """The response of a type: its own, or the general one."""
    return responses.get(kind) or responses["DEFAULT_5XX" if kind in SERVER else "DEFAULT_4XX"]


def faults(kind, response):
    """What is wrong with a response."""
    templates, headers = response.get("responseTemplates", {}), response.get("responseParameters", {})
    if set(templates) != {"application/json"}:
        return [f"{kind} answers {sorted(templates)}, not JSON alone"]
    text = templates["application/json"]
    found = [f"{kind} quotes {quoted}" for quoted in re.findall(r"\$[\w.{(]+", text)]
    found += [f"{kind} copies {value!r} into {name}" for name, value in headers.items() if not (value == "context.requestId" or re.fullmatch("'[^']*'", value))]
    try:
        error = json.loads(text)["error"]
        if set(error) != {"message", "type", "param", "code"} or not all(isinstance(error[name], str) and error[name] for name in ("message", "type", "code")):
            found.append(f"{kind} has not the fields of the envelope, or says nothing in one: {error}")
    except (ValueError, KeyError, TypeError):
        found.append(f"{kind} does not answer in the envelope: {text}")
    needed = {"x-request-id", "cache-control", "access-control-allow-origin"} | ({"retry-after"} if str(response.get("statusCode")) == "429" or kind in ("THROTTLED", "QUOTA_EXCEEDED") else set())
    found += [f"{kind} has no header {name}" for name in sorted(needed) if HEADER + name not in headers]
    return found


def test_every_type_of_api_gateway_answers_in_the_envelope_and_quotes_nothing(responses):
    assert set(GENERAL) <= set(responses) and set(responses) <= set(known_types())
    problems = {fault for kind in known_types() for fault in faults(kind, effective(responses, kind))}
    assert not problems, "\n".join(sorted(problems))


@pytest.mark.parametrize("kind", MEANING)
def test_what_a_caller_may_meet_has_a_status_and_a_code_of_its_own(responses, kind):
    response = responses[kind]
    code = json.loads(response["responseTemplates"]["application/json"])["error"]["code"]
    status = response.get("statusCode")
    assert (status and int(status), code) == MEANING[kind]


def test_the_general_responses_keep_the_statuses_of_all_others(responses):
    assert not [kind for kind in GENERAL if "statusCode" in responses[kind]]


@pytest.mark.parametrize(
    "text, fault",
    [
        ('{"error": {"message": $context.error.messageString, "type": "x", "param": null, "code": "y"}}', "quotes"),
        ('{"error": {"message": "$context.path", "type": "x", "param": null, "code": "y"}}', "quotes"),
        ('{"error": {"message": "$input.params(\'authorization\')", "type": "x", "param": null, "code": "y"}}', "quotes"),
        ('{"message": "Forbidden"}', "envelope"),
        ('{"error": {"message": "", "type": "x", "param": null, "code": "y"}}', "fields"),
        ('{"error": {"message": "m", "type": "x", "param": null, "code": null}}', "fields"),
    ],
)
def test_other_answers_are_found(responses, text, fault):
    mutant = copy.deepcopy(responses["DEFAULT_4XX"])
    mutant["responseTemplates"]["application/json"] = text
    assert any(fault in found for found in faults("DEFAULT_4XX", mutant))


def test_headers_that_quote_the_request_or_are_missing_are_found(responses):
    for kind, name in [("DEFAULT_4XX", "x-request-id"), ("THROTTLED", "retry-after"), ("DEFAULT_5XX", "cache-control")]:
        mutant = copy.deepcopy(responses[kind])
        mutant["responseParameters"][HEADER + name] = "method.request.header.authorization"
        assert faults(kind, mutant) == [f"{kind} copies 'method.request.header.authorization' into {HEADER}{name}"]
        del mutant["responseParameters"][HEADER + name]
        assert faults(kind, mutant) == [f"{kind} has no header {name}"]


def test_forms_reach_functions_as_base64_and_nothing_else_does(usual):
    (api,) = usual.of_type("AWS::ApiGateway::RestApi").values()
    # Of any other type, a body is text. Answers are streamed, and need no type here.
    assert api["Properties"]["BinaryMediaTypes"] == ["multipart/form-data"]
