"""What the deployment has besides its API: queues, and the mappings that feed workers from them."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from service import call, eventually

ENDS = [f"response.{end}" for end in ("completed", "failed", "incomplete", "cancelled")]
ENDS += [f"batch.{end}" for end in ("completed", "failed", "expired", "cancelled")]


class Queue:
    """A queue of the stack, the queue of its dead letters, and the mapping that gives its messages to a worker."""

    def __init__(self, name, url, dead_letters_url):
        import boto3

        self.sqs, self.mappings = boto3.client("sqs"), boto3.client("lambda")
        self.url, self.dead_letters_url = url, dead_letters_url
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        (mapping,) = self.mappings.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        self.name, self.mapping = name, mapping["UUID"]

    @contextlib.contextmanager
    def held_up(self):
        """While this lasts no worker gets a message."""
        self.mappings.update_event_source_mapping(UUID=self.mapping, Enabled=False)
        time.sleep(1)  # What is being received is let through.
        try:
            yield
        finally:
            self.mappings.update_event_source_mapping(UUID=self.mapping, Enabled=True)

    def send(self, body):
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body)["MessageId"]

    def lose(self, text):
        """Deletes the message whose body has `text`, which no worker got. Its body."""

        def look():
            answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=1)
            return next((message for message in answer.get("Messages", []) if text in message["Body"]), None)

        message = eventually(look)
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return message["Body"]

    def bury(self, text):
        """Makes it a dead letter, as the queue does when it was received too often."""
        self.sqs.send_message(QueueUrl=self.dead_letters_url, MessageBody=self.lose(text))


@pytest.fixture(scope="session")
def queues():
    """The queues by name. Only an emulator's are played with, and only where the caller says which stack it is."""
    stack = os.environ.get("WEIR_STACK")
    if not (stack and os.environ.get("AWS_ENDPOINT_URL")):
        pytest.skip("looks into queues: needs AWS_ENDPOINT_URL, an emulator's, and WEIR_STACK, the stack's name")
    import boto3

    def url(name):
        resource = boto3.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=name)
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    return {name: Queue(name, url(f"{name.title()}Queue"), url(f"{name.title()}DeadLetters")) for name in ("respond", "batch", "ingest", "deliver")}


class Told:
    """A project, a receiver of all its events, and how to read them."""

    def __init__(self, project, receiver):
        self.project, self.client, self.receiver = project, project.client(), receiver
        self.endpoint = call(self.client, "POST", "/webhook_endpoints", {"name": "told", "url": receiver.url, "event_types": ENDS})

    def begin(self, model="acme/chat", text="Hello, weir"):
        return self.client.responses.create(model=model, input=text, background=True)

    def event(self, seconds=30):
        """The next event, its signature checked."""
        body, headers = self.receiver.next(seconds)
        return self.client.webhooks.unwrap(body, headers, secret=self.endpoint["signing_secret"])

    def deliveries(self, status):
        return call(self.client, "GET", f"/webhook_endpoints/{self.endpoint['id']}/deliveries?status={status}")["data"]


@pytest.fixture(scope="session")
def told(project, receiver):
    """Makes one: `told()`, or `told(500)` whose receiver fails first."""
    return lambda *statuses: Told(project(), receiver(*statuses))


# --- what takes minutes ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def failing(told):
    """A job whose provider always fails, with its webhooks."""
    told = told()
    return told, told.begin("broken")


@pytest.fixture(scope="session")
def lost_message(queues, told):
    """A job whose message is lost before a worker got it."""
    told = told()
    with queues["respond"].held_up():
        job = told.begin()
        queues["respond"].lose(job.id)
    return told, job


@pytest.fixture(scope="session")
def lost_delivery(queues, told):
    """A job whose webhook's message is lost before a worker got it."""
    told = told()
    with queues["deliver"].held_up():
        job = told.begin()
        queues["deliver"].lose(eventually(lambda: told.deliveries("pending"))[0]["id"])
    return told, job


@pytest.fixture(scope="session")
def orphaned(queues, told, operator):
    """A job whose worker is killed in the middle of it."""
    told = told()
    job = told.begin("slow", "word " * 500)
    eventually(lambda: call(operator, "GET", f"/organization/jobs/{job.id}")["events"] > 4)
    kill_workers(f"{os.environ['WEIR_STACK']}-RespondFunction")
    return told, job


def kill_workers(function):
    """Kills the processes of a function of this emulator, of which there is at least one."""
    ours = (f"AWS_LAMBDA_FUNCTION_NAME={function}", f"AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']}")
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (process / "environ").read_text(errors="replace").split("\0")
            if all(any(variable.startswith(start) for variable in variables) for start in ours):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    assert killed, f"no process of {function} runs on this machine"


MINUTES = ("failing", "lost_message", "lost_delivery", "orphaned")


def pytest_collection_modifyitems(items):
    """What takes minutes is looked at last."""
    for item in items:
        if set(MINUTES) & set(getattr(item, "fixturenames", ())):
            item.add_marker("minutes")
    items.sort(key=lambda item: item.get_closest_marker("minutes") is not None)


@pytest.fixture(scope="session", autouse=True)
def begun(request):
    """What takes minutes begins first, so that everything else is tested beside it."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in MINUTES:
        if name in wanted:
            with contextlib.suppress(Exception, pytest.skip.Exception):  # The test that wants it says why.
                request.getfixturevalue(name)
