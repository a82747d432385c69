"""What was used and what it costs, as the operator reads it."""

import time

import pytest
from service import eventually


def test_usage_and_costs(admin, project):
    ours = project()
    since = int(time.time()) - 3600
    with ours.client() as client:
        usages = [client.chat.completions.create(model="acme/chat", messages=[{"role": "user", "content": "Hello"}]).usage for _ in range(3)]
        job = client.responses.create(model="acme/chat", input="Hello", background=True)
        usages.append(eventually(lambda: client.responses.retrieve(job.id).usage))
    tokens_in = sum(getattr(usage, "prompt_tokens", None) or usage.input_tokens for usage in usages)
    tokens_out = sum(getattr(usage, "completion_tokens", None) or usage.output_tokens for usage in usages)

    used = results(admin.usage.completions(start_time=since, project_ids=[ours.id], group_by=["model"]))
    assert [(row.model, row.num_model_requests) for row in used] == [("acme/chat", 4)]
    assert (used[0].input_tokens, used[0].output_tokens) == (tokens_in, tokens_out)
    costs = results(admin.usage.costs(start_time=since, project_ids=[ours.id]))
    dollars = sum(float(row.amount.value) for row in costs)
    assert dollars == pytest.approx((tokens_in * 1.0 + tokens_out * 4.0) / 1e6, abs=4e-6)


def results(page):
    return [row for bucket in page.data for row in bucket.results]
