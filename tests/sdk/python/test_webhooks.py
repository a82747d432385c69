"""Webhooks as a receiver with OpenAI's Python SDK gets them."""

import openai
import pytest
from service import call, eventually

ENDED = ["response.completed", "response.failed"]


def test_unwrap(client, receiver):
    told = receiver(500)
    endpoint = client.webhooks.create(name="Orders", url=told.url, event_types=ENDED)
    made = client.responses.create(model="acme/chat", input="Hello", background=True)
    first, second = told.next(), told.next()
    assert first[0] == second[0] and first[1]["webhook-id"] == second[1]["webhook-id"]
    for body, headers in (first, second):
        event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
        assert event.type == "response.completed" and event.data.id == made.id and event.object == "event"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(first[0] + b" ", first[1], secret=endpoint.signing_secret)
    path = f"/webhook_endpoints/{endpoint.id}/deliveries"
    delivery = eventually(lambda: call(client, "GET", f"{path}?status=delivered")["data"])[0]
    assert delivery["id"] == first[1]["webhook-id"] and len(delivery["attempts"]) == 2


def test_rotation(client, receiver):
    told = receiver()
    endpoint = client.webhooks.create(name="Orders", url=told.url, event_types=ENDED)
    rotated = client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True)
    client.responses.create(model="acme/chat", input="Hello", background=True)
    body, headers = told.next()
    for secret in (endpoint.signing_secret, rotated.signing_secret):
        assert client.webhooks.unwrap(body, headers, secret=secret).type == "response.completed"


def test_endpoints(client, receiver):
    told = receiver()
    endpoint = client.webhooks.create(name="Orders", url=told.url, event_types=ENDED)
    read = client.webhooks.retrieve(endpoint.id)
    assert (read.name, read.signing_secret_hint[-4:]) == ("Orders", endpoint.signing_secret[-4:])
    assert client.webhooks.update(endpoint.id, name="Sales").name == "Sales"
    assert endpoint.id in [each.id for each in client.webhooks.list()]
    assert set(ENDED) <= set(client.webhooks.event_types.list().data)
    tested = client.webhooks.test(endpoint.id, event_type="response.completed")
    assert (tested.success, tested.status_code, tested.webhook_endpoint_id) == (True, 200, endpoint.id)
    body, headers = told.next()
    assert client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret).type == "response.completed"
    assert client.webhooks.delete(endpoint.id).deleted


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "https://10.0.0.1/", "ftp://example.com/", "https://[fd00:ec2::254]/"])
def test_what_is_inside_is_refused(client, url):
    with pytest.raises(openai.BadRequestError) as caught:
        client.webhooks.create(name="Inside", url=url, event_types=["response.completed"])
    assert caught.value.param == "url"
