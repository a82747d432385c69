"""The recordings of Gemini's API, by the types of Google's SDK, which permit no member that they do not know.

The tests of `providers` prove that weir sends the recorded request, and how it reads the recorded answers.
"""

import json
from pathlib import Path

import pydantic
import pytest
from google.genai import types

RECORDINGS = Path(__file__).parents[3] / "providers/tests/fixtures/gemini"
EVENTS = [line[5:] for line in (RECORDINGS / "stream.sse").read_text().splitlines() if line.startswith("data:")]
# Members of a request, which the SDK has no type for as a whole.
REQUEST = {
    "systemInstruction": types.Content,
    "contents": list[types.Content],
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "serviceTier": types.ServiceTier,
}


def test_weir_sends_what_google_knows():
    sent = json.loads((RECORDINGS / "request-provider.json").read_text())
    assert sent.keys() == REQUEST.keys()
    for member, value in sent.items():
        pydantic.TypeAdapter(REQUEST[member]).validate_python(value)


@pytest.mark.parametrize("answer", [(RECORDINGS / "reply.json").read_text(), *EVENTS])
def test_the_recorded_answers_are_googles(answer):
    reply = types.GenerateContentResponse.model_validate_json(answer)
    reasons = [candidate.finish_reason for candidate in reply.candidates]
    assert all(reason in (None, types.FinishReason.STOP) for reason in reasons)


def test_weir_knows_every_finish_reason():
    """Each reason that is no filter has its own line in weir."""
    source = (RECORDINGS.parents[2] / "src/gemini/reply.rs").read_text()
    filters = ("SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "NO_IMAGE")
    filters += ("ESCALATION", "PUP_LIMITED_DISABLED", "MODEL_ARMOR")
    known = [reason.value for reason in types.FinishReason if not reason.value.endswith(filters)]
    assert [reason for reason in known if f'"{reason}"' not in source] == []
