"""Webhooks as a receiver with OpenAI's Python SDK gets them."""

import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai
import pytest


@pytest.fixture
def receiver():
    """A receiver on this machine: its URL, and what it was sent. The first request is refused, so that a second comes."""
    requests = queue.Queue()
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            requests.put((body, dict(self.headers.items())))
            seen.append(body)
            self.send_response(500 if len(seen) == 1 else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", requests
    server.shutdown()


def call(client, method, path, body=None):
    """weir's own routes, through the SDK's own transport."""
    if method == "GET":
        return client.get(path, cast_to=object)
    return client.post(path, cast_to=object, body=body or {})


def test_unwrap(client, receiver):
    url, requests = receiver
    wanted = ["response.completed", "response.failed"]
    endpoint = call(client, "POST", "/webhook_endpoints", {"url": url, "event_types": wanted})
    made = client.responses.create(model="acme/chat", input="Hello", background=True)
    first, second = requests.get(timeout=30), requests.get(timeout=30)
    assert first[0] == second[0] and first[1]["webhook-id"] == second[1]["webhook-id"]
    for body, headers in (first, second):
        event = client.webhooks.unwrap(body, headers, secret=endpoint["secret"])
        assert event.type == "response.completed" and event.data.id == made.id and event.object == "event"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(first[0] + b" ", first[1], secret=endpoint["secret"])
    path = f"/webhook_endpoints/{endpoint['id']}/deliveries"
    ends = time.monotonic() + 10
    while (delivery := call(client, "GET", path)["data"][0])["status"] != "delivered":
        assert time.monotonic() < ends, delivery
        time.sleep(0.1)
    assert delivery["id"] == first[1]["webhook-id"] and len(delivery["attempts"]) == 2


def test_rotation(client, receiver):
    url, requests = receiver
    endpoint = call(client, "POST", "/webhook_endpoints", {"url": url, "event_types": ["response.completed"]})
    rotated = call(client, "POST", f"/webhook_endpoints/{endpoint['id']}/rotate_secret")
    client.responses.create(model="acme/chat", input="Hello", background=True)
    body, headers = requests.get(timeout=30)
    for secret in (endpoint["secret"], rotated["secret"]):
        assert client.webhooks.unwrap(body, headers, secret=secret).type == "response.completed"


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "https://10.0.0.1/", "ftp://example.com/", "https://[fd00:ec2::254]/"])
def test_what_is_inside_is_refused(client, url):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/webhook_endpoints", cast_to=object, body={"url": url, "event_types": ["response.completed"]})
    assert caught.value.param == "url"
