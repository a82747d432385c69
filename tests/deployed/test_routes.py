"""Each route leads through API Gateway to the function that serves it."""

import json
from pathlib import Path

import httpx2
import pytest
from service import BASE_URL

ROOT = Path(__file__).resolve().parents[2]
EVENTS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
ROUTES = sorted({(event["httpMethod"], event["path"]) for event in EVENTS.values() if "httpMethod" in event})


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=30) as client:
        yield client


def at(path):
    return BASE_URL.removesuffix("/v1") + path


def error(answer):
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-request-id"]
    body = answer.json()["error"]
    assert set(body) == {"message", "type", "param", "code"} and body["message"]
    return answer.status_code, body["code"]


def test_health(http):
    answer = http.get(at("/healthz"))
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize("method, path", ROUTES)
def test_every_recorded_route_asks_for_a_key(http, method, path):
    answer = http.request(method, at(path), headers={"authorization": "Bearer sk-weir-nobody-nothing"})
    assert error(answer) == (401, "invalid_api_key")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/responses/resp_1/nothing", "/nothing"])
def test_other_routes_are_unknown(http, path):
    assert error(http.get(at(path))) == (404, "unknown_url")


@pytest.mark.parametrize("body", ["{", "[]", '"text"', "{}", ""])
def test_malformed_bodies(http, project, body):
    headers = {"authorization": f"Bearer {project().key}", "content-type": "application/json"}
    status, _ = error(http.post(at("/v1/chat/completions"), headers=headers, content=body))
    assert status == 400
