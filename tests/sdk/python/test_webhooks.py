"""Webhooks as a receiver with OpenAI's Python SDK gets them."""

import openai
import pytest
from service import call, eventually

ENDED = ["response.completed", "response.failed"]


def test_unwrap(client, receiver):
    told = receiver(500)
    endpoint = call(client, "POST", "/webhook_endpoints", {"url": told.url, "event_types": ENDED})
    made = client.responses.create(model="acme/chat", input="Hello", background=True)
    first, second = told.next(), told.next()
    assert first[0] == second[0] and first[1]["webhook-id"] == second[1]["webhook-id"]
    for body, headers in (first, second):
        event = client.webhooks.unwrap(body, headers, secret=endpoint["secret"])
        assert event.type == "response.completed" and event.data.id == made.id and event.object == "event"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(first[0] + b" ", first[1], secret=endpoint["secret"])
    path = f"/webhook_endpoints/{endpoint['id']}/deliveries"
    delivery = eventually(lambda: call(client, "GET", f"{path}?status=delivered")["data"])[0]
    assert delivery["id"] == first[1]["webhook-id"] and len(delivery["attempts"]) == 2


def test_rotation(client, receiver):
    told = receiver()
    endpoint = call(client, "POST", "/webhook_endpoints", {"url": told.url, "event_types": ENDED})
    rotated = call(client, "POST", f"/webhook_endpoints/{endpoint['id']}/rotate_secret")
    client.responses.create(model="acme/chat", input="Hello", background=True)
    body, headers = told.next()
    for secret in (endpoint["secret"], rotated["secret"]):
        assert client.webhooks.unwrap(body, headers, secret=secret).type == "response.completed"


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "https://10.0.0.1/", "ftp://example.com/", "https://[fd00:ec2::254]/"])
def test_what_is_inside_is_refused(client, url):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/webhook_endpoints", cast_to=object, body={"url": url, "event_types": ["response.completed"]})
    assert caught.value.param == "url"
