"""Each route leads through API Gateway to the function that serves it."""

import json
import os
from pathlib import Path

import httpx2
import pytest
from service import BASE_URL

ROOT = Path(__file__).resolve().parents[2]
EVENTS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
# As an SDK sends it. No answer may repeat it.
SECRET = "sk-weir-nobody-nothing"
BEARER = {"authorization": f"Bearer {SECRET}"}
OTHER_ORIGIN = "https://other.example.com"
ANSWERS = {name: json.loads((ROOT / f"events/answers/{name}.json").read_text()) for name in EVENTS}


def is_route(name):
    """Not what is recorded beside routes: an unknown path, a wrong method, a preflight, a domain that the stacks do not have."""
    if not EVENTS[name].get("path", "").startswith("/v1/"):
        return False
    status, body = ANSWERS[name]["statusCode"], ANSWERS[name]["body"]
    error = body.get("error") if isinstance(body, dict) else None
    return status != 204 and (error or {}).get("code") not in ("unknown_url", "method_not_allowed")


ROUTES = sorted({(event["httpMethod"], event["path"]) for name, event in EVENTS.items() if is_route(name)})
# Each path, with the methods that events call it by.
PATHS = {path: {method for method, other in ROUTES if other == path} for _, path in ROUTES}


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=30) as client:
        yield client


def at(path):
    return BASE_URL.removesuffix("/v1") + path


def error(answer):
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-request-id"]
    body = answer.json()["error"]
    if answer.json().get("type") == "error":  # Anthropic's envelope.
        assert body["message"] and answer.json()["request_id"] == answer.headers["request-id"]
        return answer.status_code, body["details"]["error_code"]
    assert set(body) == {"message", "type", "param", "code"} and body["message"]
    return answer.status_code, body["code"]


def test_health(http):
    answer = http.get(at("/healthz"))
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize("method, path", ROUTES)
def test_every_recorded_route_asks_for_a_key(http, method, path):
    answer = http.request(method, at(path), headers=BEARER)
    assert error(answer) == (401, "invalid_api_key")


# Below each kind of path that exists, and the paths that others begin with.
UNKNOWN = ["/", "/nothing", "/v1", "/v1/", "/v1/nothing", "/v1/chat", "/v1/organization", "/v1/organization/usage", "/v1/responses/resp_1/nothing"]
UNKNOWN += ["/v1/chat/completions/nothing", "/v1/organization/projects/proj_1/nothing", "/v2/chat/completions"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", UNKNOWN)
def test_other_paths_are_unknown_with_a_key_too(http, path, method):
    """API Gateway takes a bearer's key for a signature of AWS wherever no method of its own exists, and quotes it."""
    assert error(http.request(method, at(path))) == (404, "unknown_url")
    answer = http.request(method, at(path), headers=BEARER)
    assert error(answer) == (404, "unknown_url") and SECRET not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_wrong_methods_are_told_the_right_ones(http, path):
    """PUT is no method of any route."""
    for headers in ({}, BEARER):
        answer = http.put(at(path), headers=headers)
        assert error(answer) == (405, "method_not_allowed") and SECRET not in answer.text
        allowed = {method.strip() for method in answer.headers["allow"].split(",")}
        assert PATHS[path] <= allowed and "PUT" not in allowed


# --- pages in browsers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def origins():
    """What the stack allows: one origin, `*` or nothing."""
    if "WEIR_ORIGINS" not in os.environ:
        pytest.skip("needs WEIR_ORIGINS, the deployment's AllowedOrigins")
    return os.environ["WEIR_ORIGINS"]


def page(origins):
    """The origin of a page that is allowed, if any is."""
    return OTHER_ORIGIN if origins in ("", "*") else origins


def preflight(http, path, origin):
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    return http.options(at(path), headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_an_allowed_origin_may_ask_without_a_key(http, path, origins):
    answer = preflight(http, path, page(origins))
    if not origins:
        assert "access-control-allow-origin" not in answer.headers
        return
    assert answer.status_code in (200, 204) and answer.text == ""
    assert answer.headers["access-control-allow-origin"] == origins
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "POST" in answer.headers["access-control-allow-methods"]
    if origins != "*":
        assert "access-control-allow-origin" not in preflight(http, path, OTHER_ORIGIN).headers


@pytest.mark.parametrize("method, path, status", [("GET", "/v1/models", 401), ("GET", "/v1/nothing", 404), ("PUT", "/v1/models", 405), ("GET", "/healthz", 200)])
def test_a_page_of_an_allowed_origin_may_read_every_answer(http, origins, method, path, status):
    answer = http.request(method, at(path), headers={"origin": page(origins)})
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (origins or None)


@pytest.mark.parametrize("body", ["{", "[]", '"text"', "{}", ""])
def test_malformed_bodies(http, project, body):
    headers = {"authorization": f"Bearer {project().key}", "content-type": "application/json"}
    status, _ = error(http.post(at("/v1/chat/completions"), headers=headers, content=body))
    assert status == 400
