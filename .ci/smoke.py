#!/usr/bin/env python3
"""Starts each built function as Lambda would and invokes it once: .ci/smoke.py <target/lambda> <function>...

A function that cannot start still deploys; it is found out here. One that serves requests gets GET /healthz; a worker or a
timer gets its event in events/. This process plays Lambda's runtime API, and an AWS whose table and queues are empty.
"""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEALTH = {
    "resource": "/healthz",
    "path": "/healthz",
    "httpMethod": "GET",
    "headers": {},
    "multiValueHeaders": {},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/prod/healthz", "resourcePath": "/healthz", "identity": {}},
    "body": None,
    "isBase64Encoded": False,
}


class Runtime(BaseHTTPRequestHandler):
    """One invocation, with `server.event`, then silence; the answer goes to `server.answer`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.server.given.is_set():
            self.server.done.wait()
            self.close_connection = True
            return
        self.server.given.set()
        body = json.dumps(self.server.event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:smoke")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "X-Amz-Target" in self.headers:
            self.answer(200, b'{"Items": [], "Count": 0, "ScannedCount": 0}')
            return
        self.server.answer = (self.path, body)
        self.answer(202, b"")
        self.server.done.set()

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def background(function):
    """The event of a worker or a timer; nothing for a function that serves requests."""
    events = (json.loads(path.read_text()) for path in sorted((ROOT / "events").glob(f"{function}-*.json")))
    return next((event for event in events if "httpMethod" not in event), None)


def invoked(binary, event, mode):
    """Milliseconds from the start to the answer, and the answer; raises if none came."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.daemon_threads, server.given, server.done, server.answer = True, threading.Event(), threading.Event(), None
    server.event = event
    server.handle_error = lambda *_: None  # The function is killed while it waits for its next invocation.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_LAMBDA_FUNCTION_NAME": "smoke",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_STREAM_NAME": "smoke",
        "AWS_LAMBDA_LOG_GROUP_NAME": "smoke",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH": "true",
        "TABLE_NAME": "none",
        "BUCKET_NAME": "none",
        "RESPOND_QUEUE_URL": f"{url}/000000000000/respond",
        "DELIVER_QUEUE_URL": f"{url}/000000000000/deliver",
        "MODELS": str(ROOT / "models" / "models.toml"),
        "RESPONSE_MODE": mode if mode != "event" else "",
        "LOG_LEVEL": "warn",
        "PATH": os.environ["PATH"],
    }
    begun = time.monotonic()
    process = subprocess.Popen([binary], env=environment, stdin=subprocess.DEVNULL)
    try:
        while not server.done.wait(0.005):
            if process.poll() is not None:
                raise RuntimeError(f"ended with {process.returncode} before it answered")
            if time.monotonic() - begun > 10:
                raise RuntimeError("gave no answer in 10 s")
        took = (time.monotonic() - begun) * 1000
    finally:
        process.kill()
        process.wait()
        server.shutdown()
    path, body = server.answer
    if not path.endswith("/response"):
        raise RuntimeError(f"answered {path}: {body!r}")
    return took, body


def check(function, binary, mode):
    """Milliseconds from the start to the right answer; raises with what came instead."""
    event = background(function)
    took, body = invoked(binary, event or HEALTH, mode)
    if event is not None:
        json.loads(body)
        return took
    head, separator, rest = body.partition(b"\0" * 8)
    answer = json.loads(head)
    text = rest.decode() if separator else answer.get("body")
    if answer["statusCode"] != 200 or text != "ok\n" or bool(separator) != (mode == "stream"):
        raise RuntimeError(f"answered {body!r}")
    return took


def main():
    folder, *functions = sys.argv[1:]
    failed = False
    for function in functions:
        binary = Path(folder).resolve() / function / "bootstrap"
        for mode in ("stream", "buffer") if background(function) is None else ("event",):
            try:
                size = binary.stat().st_size / 1e6
                print(f"{function:12} {mode:7} {check(function, str(binary), mode):4.0f} ms  {size:.1f} MB")
            except (OSError, RuntimeError, ValueError) as error:
                print(f"{function:12} {mode:7} FAILED: {error}")
                failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
