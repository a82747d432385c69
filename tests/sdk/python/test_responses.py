"""Responses and conversations with OpenAI's Python SDK, changed in nothing but `base_url` and `api_key`."""

import json
import time
import uuid

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel
from service import until_ended

MODEL = "acme/chat"
WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


class City(BaseModel):
    name: str
    inhabitants: int


def ask(client, text="Hello, weir", **more):
    return client.responses.create(**{"model": MODEL, "input": text, **more})


def dump(model):
    """What the server sent, without what the SDK adds."""
    return model.to_dict(mode="json")


# --- responses ------------------------------------------------------------------------------------------------------------


def test_whole(client):
    made = ask(client, instructions="Be brief.", metadata={"order": "17"}, temperature=0.5)
    assert made.status == "completed" and "Hello, weir" in made.output_text
    assert made.object == "response" and made.model == MODEL and made.metadata == {"order": "17"}
    assert isinstance(made.output[0], ResponseOutputMessage) and made.instructions == "Be brief."
    usage = made.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0
    assert usage.input_tokens_details.cached_tokens == 0 and usage.output_tokens_details.reasoning_tokens == 0
    assert usage.model_extra["cost"] == pytest.approx((usage.input_tokens + usage.output_tokens * 4) / 1e6, abs=1e-6)


def test_at_the_limit(client):
    made = ask(client, "word " * 40, max_output_tokens=16)
    assert made.status == "incomplete" and made.incomplete_details.reason == "max_output_tokens"


def test_streamed(client):
    events = list(ask(client, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    # What the SDK does not know it parses as something else.
    assert all(type(event).__name__.startswith("Response") for event in events)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    assert events[-1].type == "response.completed" and final.output_text == text
    assert dump(client.responses.retrieve(final.id)) == dump(final)


def test_stream_helper(client):
    with client.responses.stream(model=MODEL, input="Hello, weir") as stream:
        types = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.created", "response.output_text.delta", "response.completed"} <= types
    assert "Hello, weir" in final.output_text


def test_structured_output(client):
    made = client.responses.parse(model=MODEL, input="Paris", text_format=City)
    assert isinstance(made.output_parsed, City)
    with client.responses.stream(model=MODEL, input="Paris", text_format=City) as stream:
        assert isinstance(stream.get_final_response().output_parsed, City)


@pytest.mark.parametrize("chained", [True, False])
def test_tools(client, chained):
    question = [{"role": "user", "content": "How is the weather in Paris?"}]
    asked = ask(client, question, tools=[WEATHER], tool_choice="required")
    call = asked.output[0]
    assert isinstance(call, ResponseFunctionToolCall) and call.name == "weather" and "city" in json.loads(call.arguments)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    if chained:
        told = ask(client, [output], tools=[WEATHER], previous_response_id=asked.id)
    else:
        told = ask(client, [*question, *asked.output, output], tools=[WEATHER])
    assert "rain" in told.output_text


def test_streamed_tools(client):
    with client.responses.stream(model=MODEL, input="Paris", tools=[WEATHER], tool_choice="required") as stream:
        types = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.delta" in types and "response.function_call_arguments.done" in types
    assert final.output[0].name == "weather"


def test_chaining(client):
    first = ask(client, "One")
    second = ask(client, "Two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, previous_response_id="resp_none")
    assert caught.value.code == "previous_response_not_found" and caught.value.param == "previous_response_id"


def test_input_items(client):
    made = ask(client, [{"role": "user", "content": f"Message {n}"} for n in range(5)])
    texts = [item.content[0].text for item in client.responses.input_items.list(made.id, limit=2)]
    assert texts == [f"Message {n}" for n in reversed(range(5))]
    oldest = client.responses.input_items.list(made.id, order="asc", limit=1)
    assert oldest.data[0].content[0].text == "Message 0" and oldest.has_more


def test_retrieve_and_delete(client, project):
    made = ask(client)
    assert dump(client.responses.retrieve(made.id)) == dump(made)
    with pytest.raises(openai.NotFoundError):
        project().client().responses.retrieve(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.retrieve(made.id)
    assert caught.value.code == "not_found"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(ask(client, store=False).id)


def test_input_tokens(client):
    counted = client.responses.input_tokens.count(model=MODEL, input="Hello, weir")
    assert counted.object == "response.input_tokens" and counted.input_tokens > 0


def test_stream_again(client):
    events = list(ask(client, stream=True))
    id = events[0].response.id
    again = list(client.responses.retrieve(id, stream=True))
    assert [dump(event) for event in again] == [dump(event) for event in events]
    rest = list(client.responses.retrieve(id, stream=True, starting_after=3))
    assert [dump(event) for event in rest] == [dump(event) for event in events[4:]]
    with client.responses.stream(response_id=id, starting_after=3) as stream:
        assert [event.sequence_number for event in stream] == [event.sequence_number for event in events[4:]]


def test_errors(client):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="nothing")
    assert caught.value.code == "model_not_found"
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, tools=[{"type": "file_search"}], stream=stream)
        assert caught.value.param == "tools[0].type"
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client.with_options(max_retries=0), model="broken", stream=stream)
        assert caught.value.code == "provider_unavailable"


@pytest.mark.parametrize("stream", [False, True])
def test_replay(client, stream):
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    def read():
        with client.responses.with_streaming_response.create(
            model=MODEL, input="Hello", stream=stream, extra_headers=headers
        ) as response:
            return response.headers.get("idempotent-replayed"), response.read()

    (first_replayed, first), (again_replayed, again) = read(), read()
    assert (first_replayed, again_replayed) == (None, "true") and again == first


# --- in the background ----------------------------------------------------------------------------------------------------


def test_background(client):
    queued = ask(client, background=True, model="slow")
    assert queued.status == "queued" and queued.background and queued.output == []
    made = until_ended(client, queued)
    assert made.status == "completed" and "Hello, weir" in made.output_text and made.usage.output_tokens > 0


def test_a_background_stream_is_resumed_where_it_was_dropped(client):
    begun = []
    with ask(client, "one two three four five six seven", background=True, stream=True, model="slow") as stream:
        for event in stream:
            begun.append(event)
            if len(begun) == 10:
                break
    id = begun[0].response.id
    rest = list(client.responses.retrieve(id, stream=True, starting_after=begun[-1].sequence_number))
    numbers = [event.sequence_number for event in [*begun, *rest]]
    assert numbers == list(range(len(numbers))) and rest[-1].type == "response.completed"
    whole = list(client.responses.retrieve(id, stream=True))
    assert [dump(event) for event in whole] == [dump(event) for event in [*begun, *rest]]
    assert dump(client.responses.retrieve(id)) == dump(rest[-1].response)


def test_cancel(client):
    queued = ask(client, "word " * 200, background=True, model="slow")
    cancelled = client.responses.cancel(queued.id)
    assert cancelled.status == "cancelled" and client.responses.cancel(queued.id).status == "cancelled"
    assert client.responses.retrieve(queued.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(ask(client).id)


# --- conversations --------------------------------------------------------------------------------------------------------


def texts(client, conversation):
    return [item.content[0].text for item in client.conversations.items.list(conversation.id, order="asc", limit=2)]


def test_conversation(client):
    made = client.conversations.create(metadata={"topic": "demo"}, items=[{"role": "user", "content": "Be brief."}])
    assert made.object == "conversation" and made.metadata == {"topic": "demo"}
    assert dump(client.conversations.retrieve(made.id)) == dump(made)
    assert client.conversations.update(made.id, metadata={"topic": "other"}).metadata == {"topic": "other"}
    gone = client.conversations.delete(made.id)
    assert gone.deleted and gone.object == "conversation.deleted"
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_conversation_items(client):
    conversation = client.conversations.create()
    items = [{"type": "message", "role": "user", "content": f"Message {n}"} for n in range(5)]
    added = client.conversations.items.create(conversation.id, items=items, include=["message.output_text.logprobs"])
    assert [item.content[0].text for item in added.data] == texts(client, conversation) and not added.has_more
    listed = list(client.conversations.items.list(conversation.id, limit=2))
    assert [item.id for item in listed] == [item.id for item in reversed(added.data)]
    item = client.conversations.items.retrieve(added.data[1].id, conversation_id=conversation.id)
    assert dump(item) == dump(added.data[1])
    left = client.conversations.items.delete(item.id, conversation_id=conversation.id)
    assert left.id == conversation.id
    assert texts(client, conversation) == ["Message 0", "Message 2", "Message 3", "Message 4"]
    with pytest.raises(openai.BadRequestError):
        client.conversations.items.create(conversation.id, items=[{**items[0], "id": added.data[0].id}])


def test_responses_in_a_conversation(client):
    conversation = client.conversations.create(items=[{"role": "user", "content": "Be brief."}])
    first = ask(client, "One", conversation=conversation.id)
    assert first.conversation.id == conversation.id
    second = list(ask(client, "Two", conversation={"id": conversation.id}, stream=True))[-1].response
    third = until_ended(client, ask(client, "Three", conversation=conversation.id, background=True))
    said = ["Be brief.", "One", first.output_text, "Two", second.output_text, "Three", third.output_text]
    ends = time.monotonic() + 5  # The turn follows the end of a background response.
    while texts(client, conversation) != said and time.monotonic() < ends:
        time.sleep(0.1)
    assert texts(client, conversation) == said
