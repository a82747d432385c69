"""Anthropic's SDK for Python with its defaults: it sends API keys as bearers, and the newer version of the API."""

import json
import os
import urllib.request

import anthropic
import openai
import pytest

ORIGIN = os.environ["WEIR_ORIGIN"]
MODELS = ["over-chat", "over-messages", "over-gemini"]
HELLO = {"max_tokens": 100, "messages": [{"role": "user", "content": "play answer"}]}
WEATHER = {"name": "weather", "description": "The weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def admin(path, body):
    headers = {"authorization": f"Bearer {os.environ['WEIR_ADMIN_KEY']}", "content-type": "application/json"}
    request = urllib.request.Request(f"{ORIGIN}/v1/organization/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def new_key(budget=1_000):
    project = admin("projects", {"name": "python", "limits": {"budget_usd_per_month": budget}})
    account = admin(f"projects/{project['id']}/service_accounts", {"name": "tests"})
    return account["api_key"]["value"]


def client_of(budget, **options):
    return anthropic.Anthropic(base_url=ORIGIN, api_key=new_key(budget), **options)


@pytest.fixture(scope="module")
def client():
    return client_of(1_000)


@pytest.mark.parametrize("model", MODELS)
def test_a_message_whole_and_streamed(client, model):
    whole = client.messages.create(model=model, **HELLO)
    assert (whole.content[0].text, whole.stop_reason, whole.usage.input_tokens) == ("All done.", "end_turn", 10)
    with client.messages.stream(model=model, **HELLO) as stream:
        assert "".join(stream.text_stream) == "All done."
        assert stream.get_final_message().usage.output_tokens == 5


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop(client, model):
    messages = [{"role": "user", "content": "play weather"}]
    first = client.messages.create(model=model, max_tokens=100, messages=messages, tools=[WEATHER])
    call = next(block for block in first.content if block.type == "tool_use")
    assert (first.stop_reason, call.name, call.input) == ("tool_use", "weather", {"city": "Rome"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "warm"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=model, max_tokens=100, messages=messages, tools=[WEATHER])
    assert second.content[0].text == "It is warm in Rome."


@pytest.mark.parametrize("model", MODELS)
def test_the_tool_runner_goes_on_without_threads(client, model):
    """It continues a thread by default. weir refuses threads, so it sends the whole conversation."""

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: The city
        """
        return f"warm in {city}"

    runner = client.beta.messages.tool_runner(
        model=model, max_tokens=100, tools=[weather], messages=[{"role": "user", "content": "play weather"}]
    )
    *_, last = runner
    assert last.content[0].text == "It is warm in Rome."


@pytest.mark.parametrize("model", MODELS)
def test_a_message_names_an_uploaded_file(model):
    key = new_key()
    openais = openai.OpenAI(base_url=f"{ORIGIN}/v1", api_key=key)
    uploaded = openais.files.create(file=("report.pdf", b"%PDF-1.4\n\xff"), purpose="user_data")
    client = anthropic.Anthropic(base_url=ORIGIN, api_key=key)
    document = {"type": "document", "source": {"type": "file", "file_id": uploaded.id}}
    content = [document, {"type": "text", "text": "play answer"}]
    ask = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], "betas": ["files-api-2025-04-14"]}
    assert client.beta.messages.create(**ask).content[0].text == "All done."
    assert client.beta.messages.count_tokens(**{name: value for name, value in ask.items() if name != "max_tokens"}).input_tokens > 3
    openais.files.delete(uploaded.id)
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.beta.messages.create(**ask)
    assert "no file found with id" in str(refused.value)


def test_models_and_tokens(client):
    assert {"over-chat", "claude-opus-5-5"} <= {model.id for model in client.models.list(limit=2)}
    assert client.messages.count_tokens(model="over-chat", messages=HELLO["messages"]).input_tokens > 3


def test_errors_have_their_classes(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nothing", **HELLO)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client_of(0.000_001).messages.create(model="over-chat", **HELLO)
    assert caught.value.body["error"]["type"] == "billing_error"
