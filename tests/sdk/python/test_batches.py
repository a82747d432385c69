"""Batches with OpenAI's Python SDK, changed in nothing but `base_url` and `api_key`."""

import json
import time

import openai
import pytest

ENDED = {"completed", "failed", "expired", "cancelled"}


def line(custom_id, model="shaky", **body):
    body = {"model": model, "messages": [{"role": "user", "content": custom_id}], "max_tokens": 20, **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body})


def submit(client, lines, **more):
    file = client.files.create(file=("requests.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return client.batches.create(**batch)


def wait(client, batch, seconds=50):
    until = time.monotonic() + seconds
    while batch.status not in ENDED and time.monotonic() < until:
        time.sleep(0.2)
        batch = client.batches.retrieve(batch.id)
    assert batch.status in ENDED, batch
    return batch


def rows(client, *file_ids):
    texts = [client.files.content(file_id).text for file_id in file_ids if file_id]
    return [json.loads(row) for text in texts for row in text.splitlines()]


def test_content_has_one_result_for_each_of_a_thousand_lines_whatever_the_provider_does(client):
    ids = [f"line-{n}" for n in range(1_000)]
    batch = submit(client, [line(id) for id in ids], metadata={"job": "nightly"})
    assert (batch.object, batch.metadata) == ("batch", {"job": "nightly"})
    batch = wait(client, batch)
    assert batch.status == "completed"
    counts = batch.request_counts
    assert (counts.total, counts.completed + counts.failed) == (1_000, 1_000)
    found = rows(client, batch.output_file_id, batch.error_file_id)
    assert sorted(row["custom_id"] for row in found) == sorted(ids)
    good = rows(client, batch.output_file_id)
    assert all(row["response"]["body"]["choices"][0]["message"]["content"] for row in good)
    # A tenth of the tries fail or are throttled; a line is tried several times.
    assert len(good) >= 990
    assert batch.usage.output_tokens == sum(row["response"]["body"]["usage"]["completion_tokens"] for row in good)


def test_a_bad_line_fails_the_batch_before_any_line_runs(client):
    batch = wait(client, submit(client, [line("a"), line("a")]))
    assert batch.status == "failed"
    (error,) = batch.errors.data
    assert (error.code, error.line, error.param) == ("duplicate_custom_id", 2, "custom_id")
    assert batch.output_file_id is None


def test_a_batch_is_cancelled_and_listed(client):
    made = submit(client, [line(str(n), model="slow", max_tokens=500) for n in range(300)])
    cancelled = client.batches.cancel(made.id)
    assert cancelled.status in ("cancelling", "cancelled")
    batch = wait(client, cancelled)
    assert batch.status == "cancelled"
    counts = batch.request_counts
    assert counts.completed + counts.failed == counts.total
    assert made.id in [listed.id for listed in client.batches.list(limit=2)]


def test_what_is_wrong_with_a_batch_is_said(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.batches.create(input_file_id="file-none", endpoint="/v1/embeddings", completion_window="24h")
    assert refused.value.param == "input_file_id"
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")
