"""An emulator of AWS that listens on loopback only, and the environment of whoever talks to it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = ("127.0.0.1", "localhost", "localhost.localstack.cloud")


def environment(url, home):
    """What a process gets that talks to the emulator at `url`: no credentials and no settings of this machine."""
    if urlsplit(url).hostname not in LOOPBACK:
        raise SystemExit(f"AWS_ENDPOINT_URL is {url}: only an emulator on this machine is deployed to ({', '.join(LOOPBACK)})")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "SAM_CLI_TELEMETRY": "0",
    }


@contextlib.contextmanager
def running(home):
    """The URL of an emulator: the one that AWS_ENDPOINT_URL names, else one that lives as long as this."""
    if url := os.environ.get("AWS_ENDPOINT_URL"):
        yield url
        return
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = home / "emulator.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [ROOT / ".venv-emulator/bin/ministack"],
            # Functions inherit this.
            env={**environment(url, home), "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_ready(process, url)
        yield url
    except BaseException:
        print("--- the emulator's log\n", *log.read_text(errors="replace").splitlines(True)[-40:], sep="")
        raise
    finally:
        stop(process)


def wait_until_ready(process, url, seconds=60):
    ends = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_localstack/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"the emulator is not ready (exit status {process.poll()})") from None
            time.sleep(0.1)


def stop(process):
    """Ends the emulator and the functions that it started: they are its process group."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
