"""Batches through their queue, to results and a signed webhook."""

import json

from service import eventually


def test_a_batch_runs_to_its_end_and_tells_it(told):
    told = told()
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
    lines = [{"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body} for n in range(250)]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    file = told.client.files.create(file=("in.jsonl", content), purpose="batch")
    made = told.client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    event = told.event(60)
    assert (event.type, event.data.id) == ("batch.completed", made.id)
    batch = told.client.batches.retrieve(made.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 250)
    results = told.client.files.retrieve(batch.output_file_id)
    assert (results.purpose, results.bytes > 250 * len('{"custom_id": ""}')) == ("batch_output", True)
    eventually(lambda: told.deliveries("delivered"))
