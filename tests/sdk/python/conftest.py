"""Projects for the tests, made with OpenAI's admin client as an operator would."""

import os
from dataclasses import dataclass

import openai
import pytest

BASE_URL = os.environ["WEIR_BASE_URL"]


@dataclass
class Project:
    id: str
    key: str

    def client(self, **options):
        return openai.OpenAI(base_url=BASE_URL, api_key=self.key, **options)

    def async_client(self, **options):
        return openai.AsyncOpenAI(base_url=BASE_URL, api_key=self.key, **options)


@pytest.fixture(scope="session")
def admin():
    with openai.OpenAI(base_url=BASE_URL, admin_api_key=os.environ["WEIR_ADMIN_KEY"]) as client:
        yield client.admin.organization


@pytest.fixture
def project(admin):
    """Makes a project with a key: `project(requests=1)`, `project(cents=5)`, `project(policy={...})`."""

    def make(requests=None, cents=None, policy=None):
        made = admin.projects.create(name="sdk", extra_body={"policy": policy} if policy else None)
        if requests is not None:
            limit = next(iter(admin.projects.rate_limits.list_rate_limits(made.id)))
            admin.projects.rate_limits.update_rate_limit(limit.id, project_id=made.id, max_requests_per_1_minute=requests)
        if cents is not None:
            admin.projects.spend_limit.update(made.id, currency="USD", interval="month", threshold_amount=cents)
        account = admin.projects.service_accounts.create(made.id, name="tests")
        return Project(made.id, account.api_key.value)

    return make


@pytest.fixture
def client(project):
    with project().client() as client:
        yield client
