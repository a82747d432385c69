"""What tests of a running service share: `WEIR_BASE_URL` and `WEIR_ADMIN_KEY` say which."""

import os
from urllib.parse import urlsplit

import openai
import pytest
from service import BASE_URL, Project, Receiver


def pytest_addoption(parser):
    parser.addoption("--none-skipped", action="store_true", help="A skipped test is a failure.")


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if session.config.getoption("--none-skipped") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def operator():
    """OpenAI's client with the admin key."""
    with openai.OpenAI(base_url=BASE_URL, admin_api_key=os.environ["WEIR_ADMIN_KEY"]) as client:
        yield client


@pytest.fixture(scope="session")
def admin(operator):
    return operator.admin.organization


@pytest.fixture(scope="session")
def project(admin):
    """Makes a project with a key: `project(requests=1)`, `project(cents=5)`, `project(policy={...})`."""
    ids = []

    def make(requests=None, cents=None, policy=None):
        made = admin.projects.create(name="sdk", extra_body={"policy": policy} if policy else None)
        ids.append(made.id)
        if requests is not None:
            limit = next(iter(admin.projects.rate_limits.list_rate_limits(made.id)))
            admin.projects.rate_limits.update_rate_limit(limit.id, project_id=made.id, max_requests_per_1_minute=requests)
        if cents is not None:
            admin.projects.spend_limit.update(made.id, currency="USD", interval="month", threshold_amount=cents)
        account = admin.projects.service_accounts.create(made.id, name="tests")
        return Project(made.id, account.api_key.value)

    yield make
    for id in ids:
        admin.projects.archive(id)


@pytest.fixture
def client(project):
    with project().client() as client:
        yield client


@pytest.fixture(scope="session")
def receiver():
    """Makes a receiver of webhooks: `receiver()`, or `receiver(500)` whose first answer is that."""
    if urlsplit(BASE_URL).hostname != "127.0.0.1":
        pytest.skip("webhooks of a deployment in the cloud do not reach this machine")
    made = []

    def make(*statuses):
        made.append(Receiver(*statuses))
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop()
