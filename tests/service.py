"""The service under test, as its clients, their webhook receivers and its operators see it."""

import os
import queue
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai

BASE_URL = os.environ["WEIR_BASE_URL"]


@dataclass
class Project:
    id: str
    key: str

    def client(self, **options):
        return openai.OpenAI(base_url=BASE_URL, api_key=self.key, **options)

    def async_client(self, **options):
        return openai.AsyncOpenAI(base_url=BASE_URL, api_key=self.key, **options)


class Receiver:
    """A receiver of webhooks on this machine. It answers with `statuses`, one after the other, and then with 200."""

    def __init__(self, *statuses):
        self.statuses, self.requests = list(statuses), queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.put((body, dict(self.headers.items())))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, seconds=30):
        """The next request: body and headers."""
        return self.requests.get(timeout=seconds)

    def stop(self):
        self.server.shutdown()


def call(client, method, path, body=None):
    """weir's own routes, through the SDK's own transport."""
    if method == "GET":
        return client.get(path, cast_to=object)
    return client.post(path, cast_to=object, body=body or {})


def eventually(look, seconds=20):
    """What `look` returns as soon as it is true; fails with what it returned last."""
    ends = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < ends, f"after {seconds} s still {seen!r}"
        time.sleep(0.2)
    return seen


def until_ended(client, response, seconds=20):
    ends = time.monotonic() + seconds
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < ends, response.status
        time.sleep(0.1)
        response = client.responses.retrieve(response.id)
    return response
