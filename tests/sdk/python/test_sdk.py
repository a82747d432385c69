"""OpenAI's Python SDK against weir, changed in nothing but `base_url` and `api_key`."""

import asyncio
import base64
import math
import struct
import uuid

import httpx2
import openai
import pytest
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello, weir"}]
REPLAYED = "idempotent-replayed"


def keyed(key=None):
    return {"Idempotency-Key": key or str(uuid.uuid4())}


class Counting(httpx2.HTTPTransport):
    """Counts the calls; loses the first `lost` answers after the server gave them."""

    def __init__(self, lost=0):
        super().__init__()
        self.calls, self.lost = 0, lost

    def handle_request(self, request):
        self.calls += 1
        response = super().handle_request(request)
        if self.calls <= self.lost:
            response.read()
            response.close()
            raise httpx2.ReadError("the answer was lost")
        return response


# --- chat -----------------------------------------------------------------------------------------------------------------


def test_chat(client):
    answer = client.chat.completions.create(model="acme/chat", messages=HELLO)
    choice = answer.choices[0]
    assert "Hello, weir" in choice.message.content and choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer.object == "chat.completion" and isinstance(answer.created, int)


def test_chat_stops_at_the_limit(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 2


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_stream(client):
    whole = client.chat.completions.create(model="acme/chat", messages=HELLO)
    chunks = list(client.chat.completions.create(model="acme/chat", messages=HELLO, stream=True))
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_stream_with_usage_and_cost(client):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="acme/chat", messages=HELLO, stream=True, stream_options=options))
    *before, last = chunks
    assert last.choices == [] and all(chunk.usage is None for chunk in before)
    expected = (last.usage.prompt_tokens * 1.0 + last.usage.completion_tokens * 4.0) / 1e6
    assert last.usage.model_extra["cost"] == pytest.approx(expected, abs=1e-6)


def test_stream_helper(client):
    with client.chat.completions.stream(model="acme/chat", messages=HELLO) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in events and "Hello, weir" in final.choices[0].message.content


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_tools(client):
    asked = client.chat.completions.create(model="acme/chat", messages=HELLO, tools=[WEATHER], tool_choice="required")
    message = asked.choices[0].message
    call = message.tool_calls[0]
    assert asked.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "weather" and "city" in call.function.arguments
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    told = client.chat.completions.create(model="acme/chat", messages=[*HELLO, message, result], tools=[WEATHER])
    assert "rain" in told.choices[0].message.content


def test_streamed_tools(client):
    with client.chat.completions.stream(
        model="acme/chat", messages=HELLO, tools=[WEATHER], tool_choice="required"
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "weather"


class City(BaseModel):
    name: str
    inhabitants: int


def test_structured_output(client):
    answer = client.chat.completions.parse(model="acme/chat", messages=HELLO, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


# --- the other endpoints --------------------------------------------------------------------------------------------------


def test_embeddings(client):
    answer = client.embeddings.create(model="embedding", input=["rain in spring", "rain in autumn", "a red bicycle"])
    one, other, far = (item.embedding for item in answer.data)
    assert [item.index for item in answer.data] == [0, 1, 2] and math.hypot(*one) == pytest.approx(1, abs=1e-3)
    assert sum(a * b for a, b in zip(one, other)) > sum(a * b for a, b in zip(one, far))


def test_embeddings_as_floats_and_as_base64_are_the_same(client):
    ask = {"model": "embedding", "input": "rain", "dimensions": 8}
    floats = client.embeddings.create(**ask, encoding_format="float").data[0].embedding
    raw = client.embeddings.create(**ask, encoding_format="base64").data[0].embedding
    assert list(struct.unpack("<8f", base64.b64decode(raw))) == pytest.approx(floats)
    assert client.embeddings.create(**ask).data[0].embedding == pytest.approx(floats)


def test_images(client):
    answer = client.images.generate(model="image", prompt="a weir", n=2, size="1024x1024")
    assert len(answer.data) == 2 and answer.usage.output_tokens > 0
    assert all(base64.b64decode(image.b64_json).startswith(b"\x89PNG") for image in answer.data)


def test_speech(client):
    ask = {"model": "speech", "input": "Hello there", "voice": "alloy", "response_format": "wav"}
    spoken = client.audio.speech.create(**ask)
    assert spoken.response.headers["content-type"] == "audio/wav" and spoken.content.startswith(b"RIFF")
    with client.audio.speech.with_streaming_response.create(**ask) as streamed:
        assert b"".join(streamed.iter_bytes()) == spoken.content


def png():
    """An image of one pixel."""
    return base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


def test_image_edits(client):
    images = [("river.png", png(), "image/png"), ("stones.png", png(), "image/png")]
    answer = client.images.edit(model="image", prompt="a weir", n=2, image=images, mask=("mask.png", png(), "image/png"))
    assert len(answer.data) == 2 and answer.usage.input_tokens_details.image_tokens > 0
    one = client.images.edit(model="image", prompt="a weir", image=("river.png", png()), input_fidelity="high")
    assert base64.b64decode(one.data[0].b64_json).startswith(b"\x89PNG")
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model="image", prompt="a weir", image=("river.png", png()), extra_body={"strength": 0.5})
    assert refused.value.param == "strength" and refused.value.code == "unknown_parameter"


def wav(seconds):
    """Silence: 8,000 samples of 16 bits in a second."""
    samples = bytes(16_000 * seconds)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8_000, 16_000, 2, 16, b"data", len(samples))
    return ("speech.wav", head + samples, "audio/wav")


def test_transcriptions(client):
    ask = {"model": "transcription", "file": wav(2)}
    heard = client.audio.transcriptions.with_raw_response.create(**ask, temperature=0.2, language="en")
    transcript = heard.parse()
    assert "simulator" in transcript.text and transcript.usage.type == "duration" and transcript.usage.seconds == 3
    assert float(heard.headers["x-weir-cost-usd"]) == pytest.approx(3 * 0.006 / 60)
    verbose = client.audio.transcriptions.create(**ask, response_format="verbose_json", timestamp_granularities=["segment"])
    assert verbose.duration == 3 and verbose.segments[0].text == transcript.text
    assert client.audio.transcriptions.create(**ask, response_format="text").strip() == transcript.text
    assert "-->" in client.audio.transcriptions.create(**ask, response_format="srt")
    assert client.audio.transcriptions.create(**ask, response_format="vtt").startswith("WEBVTT")
    strategy = {"type": "server_vad", "threshold": 0.5}
    diarized = client.audio.transcriptions.create(**ask, response_format="diarized_json", chunking_strategy=strategy)
    assert diarized.segments[0].speaker == "A"
    assert "simulator" in client.audio.translations.create(**ask).text


def test_a_transcription_is_streamed(client):
    events = list(client.audio.transcriptions.create(model="transcription", file=wav(1), stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].usage.input_token_details.audio_tokens > 0
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


def test_a_repeated_form_with_its_key_gets_the_same_answer(client):
    ask = {"model": "transcription", "file": wav(1), "extra_headers": keyed()}
    first = client.audio.transcriptions.with_raw_response.create(**ask)
    again = client.audio.transcriptions.with_raw_response.create(**ask)
    assert again.headers[REPLAYED] == "true" and again.text == first.text


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert {"acme/chat", "chat", "embedding"} <= set(names)
    model = client.models.retrieve("acme/chat")  # The SDK sends acme%2Fchat.
    assert model.id == "acme/chat" and model.object == "model" and isinstance(model.created, int)


def test_moderations(client):
    answer = client.moderations.create(input="Hello")
    assert answer.model and answer.results[0].flagged is False and answer.results[0].categories.hate is False


def test_legacy_completions(client):
    answer = client.completions.create(model="acme/chat", prompt="Once upon a time")
    assert "Once upon a time" in answer.choices[0].text and answer.object == "text_completion"
    chunks = list(client.completions.create(model="acme/chat", prompt="Once upon a time", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


# --- errors ---------------------------------------------------------------------------------------------------------------


def chat(client, **changes):
    return client.chat.completions.create(**{"model": "acme/chat", "messages": HELLO, **changes})


@pytest.mark.parametrize("key", ["sk-weir-nobody-nothing", "not a key"])
def test_401(client, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        chat(client.with_options(api_key=key))
    assert caught.value.code == "invalid_api_key" and caught.value.request_id


def test_404(client):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, model="nothing")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("acme/nothing")
    with pytest.raises(openai.NotFoundError) as caught:
        client.get("/nothing", cast_to=object)
    assert caught.value.code == "unknown_url"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("change, param", [({"messages": []}, "messages"), ({"n": "two"}, "n"), ({"model": None}, "model")])
def test_400_names_the_parameter(client, change, param, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, stream=stream, **change)
    assert caught.value.param == param and caught.value.type == "invalid_request_error"
    assert set(caught.value.body) == {"message", "type", "param", "code"}


def test_429_on_the_rate_limit(project):
    client = project(requests=1).client(max_retries=0)
    chat(client)
    with pytest.raises(openai.RateLimitError) as caught:
        chat(client)
    headers = caught.value.response.headers
    assert caught.value.code == "rate_limit_exceeded" and headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < int(headers["retry-after"]) <= 60 and 0 < int(headers["retry-after-ms"]) <= 60_000


def test_429_on_the_budget_is_not_retried(project):
    transport = Counting()
    client = project(cents=1).client(http_client=httpx2.Client(transport=transport), max_retries=5)
    chat(client)
    with pytest.raises(openai.RateLimitError) as caught:
        chat(client, model="dear")
    assert caught.value.code == "budget_exceeded" and caught.value.type == "insufficient_quota"
    assert transport.calls == 2
    chat(client)  # What the budget covers is still served.


def test_422_when_a_key_is_used_again_for_another_request(project):
    transport = Counting()
    client = project().client(http_client=httpx2.Client(transport=transport), max_retries=5)
    headers = keyed()
    chat(client, extra_headers=headers)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat(client, extra_headers=headers, n=2)
    assert caught.value.code == "idempotency_key_reused" and transport.calls == 2


def test_5xx_of_a_provider(client):
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client.with_options(max_retries=0), model="broken")
    assert caught.value.status_code == 503 and caught.value.code == "provider_unavailable"


# --- safe to repeat -------------------------------------------------------------------------------------------------------


def test_replay(client):
    create, headers = client.chat.completions.with_raw_response.create, keyed()
    first = create(model="acme/chat", messages=HELLO, extra_headers=headers)
    again = create(model="acme/chat", messages=HELLO, extra_headers=headers)
    assert REPLAYED not in first.headers and again.headers[REPLAYED] == "true"
    assert again.content == first.content and float(again.headers["x-weir-cost-usd"]) == 0 < float(first.headers["x-weir-cost-usd"])
    other = create(model="acme/chat", messages=HELLO, extra_headers=keyed())
    assert REPLAYED not in other.headers


def test_replay_of_a_stream(client):
    def read(headers):
        with client.chat.completions.with_streaming_response.create(
            model="acme/chat", messages=HELLO, stream=True, extra_headers=headers
        ) as response:
            return response.headers, response.read()

    headers = keyed()
    first_head, first = read(headers)
    again_head, again = read(headers)
    assert again == first and first.endswith(b"data: [DONE]\n\n")
    assert REPLAYED not in first_head and again_head[REPLAYED] == "true"
    assert again_head["content-type"] == first_head["content-type"]


@pytest.mark.parametrize("stream", [False, True])
def test_twenty_callers_with_one_key(project, stream):
    key = keyed()

    async def call(client):
        async with client.chat.completions.with_streaming_response.create(
            model="slow", messages=HELLO, stream=stream, extra_headers=key
        ) as response:
            return await response.read(), response.headers.get(REPLAYED)

    async def run():
        async with project().async_client(max_retries=0) as client:
            return await asyncio.gather(*(call(client) for _ in range(20)))

    answers = asyncio.run(run())
    assert len({body for body, _ in answers}) == 1
    assert sorted(replayed or "" for _, replayed in answers) == [""] + ["true"] * 19


@pytest.mark.parametrize("stream", [False, True])
def test_a_retry_of_the_sdk_is_the_same_request(project, stream):
    """The server answers, the answer is lost, the SDK tries again with `x-stainless-retry-count: 1`."""
    transport = Counting(lost=1)
    careful = project(policy={"dedupe_retries": True})
    with careful.client(http_client=httpx2.Client(transport=transport)) as client:
        with client.chat.completions.with_streaming_response.create(
            model="acme/chat", messages=HELLO, stream=stream
        ) as response:
            assert transport.calls == 2 and response.headers[REPLAYED] == "true"
            assert b"Hello" in response.read()
        again = client.chat.completions.with_raw_response.create(model="acme/chat", messages=HELLO)
        assert REPLAYED not in again.headers  # The same body sent again on purpose is a new request.


# --- headers --------------------------------------------------------------------------------------------------------------


def test_headers(project):
    client = project(requests=1000).client()
    raw = client.chat.completions.with_raw_response.create(model="acme/chat", messages=HELLO)
    assert raw.headers["x-request-id"].startswith("req_") and raw.parse()._request_id == raw.headers["x-request-id"]
    assert raw.headers["x-ratelimit-limit-requests"] == "1000"
    assert raw.headers["x-ratelimit-remaining-requests"] == "999"
    assert raw.headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["x-weir-provider"] == "simulator" and raw.headers["x-weir-attempts"] == "1"


def test_a_request_keeps_the_id_it_came_with(client):
    raw = client.models.with_raw_response.list(extra_headers={"x-request-id": "mine-1"})
    assert raw.headers["x-request-id"].startswith("req_")
