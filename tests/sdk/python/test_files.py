"""Files with OpenAI's Python SDK, changed in nothing but `base_url` and `api_key`."""

import io

import openai
import pytest


def upload(client, content=b"Hello, weir", **more):
    file = content if isinstance(content, tuple) else ("notes.txt", content)
    return client.files.create(**{"file": file, "purpose": "user_data", **more})


def test_content(client):
    made = upload(client)
    assert client.files.content(made.id).read() == b"Hello, weir"
    part = client.files.content(made.id, extra_headers={"range": "bytes=7-"})
    assert (part.response.status_code, part.read()) == (206, b"weir")


def test_a_file_is_kept_and_deleted(client):
    made = upload(client)
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", 11, "notes.txt", "user_data")
    assert client.files.retrieve(made.id) == made
    assert client.files.wait_for_processing(made.id).status == "processed"
    deleted = client.files.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        client.files.content(made.id)


def test_a_file_expires(client):
    made = upload(client, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == made.created_at + 3600


def test_lists_have_pages(client):
    made = [upload(client, purpose="evals").id for _ in range(3)]
    listed = [file.id for file in client.files.list(purpose="evals", limit=2, order="asc")]
    assert [id for id in listed if id in made] == made


def test_a_stream_is_uploaded(client):
    content = bytes(range(256)) * 4_000
    made = upload(client, io.BytesIO(content), purpose="vision")
    assert made.bytes == len(content)


def test_a_wrong_purpose_is_named(client):
    with pytest.raises(openai.BadRequestError) as refused:
        upload(client, purpose="fine-tune")
    assert refused.value.param == "purpose"
    assert "user_data" in refused.value.message


PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"


def test_a_response_names_an_uploaded_file(client):
    made = upload(client, ("report.pdf", PDF))
    content = [{"type": "input_file", "file_id": made.id}, {"type": "input_text", "text": "Sum it up."}]
    response = client.responses.create(model="acme/chat", input=[{"role": "user", "content": content}])
    assert response.status == "completed"
    stored = client.responses.input_items.list(response.id).data[0].content[0]
    assert (stored.type, stored.file_id) == ("input_file", made.id)
    client.files.delete(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="acme/chat", input=[{"role": "user", "content": content}])
    assert (refused.value.code, refused.value.param) == ("file_not_found", "input[0].content[0].file_id")


def test_a_chat_names_an_uploaded_file(client):
    made = upload(client, ("report.pdf", PDF))
    content = [{"type": "file", "file": {"file_id": made.id}}, {"type": "text", "text": "Sum it up."}]
    whole = client.chat.completions.create(model="acme/chat", messages=[{"role": "user", "content": content}])
    assert whole.choices[0].message.content
