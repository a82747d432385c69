"""Uploads in parts with OpenAI's Python SDK, changed in nothing but `base_url` and `api_key`."""

import base64
import hashlib
import random

import openai
import pytest

CONTENT = base64.b64encode(random.Random(1).randbytes(15 * 1024 * 1024))


def create(client, size, **more):
    details = {"filename": "large.bin", "purpose": "user_data", "mime_type": "application/octet-stream"}
    return client.uploads.create(**{**details, "bytes": size, **more})


def test_a_file_of_20_mb_goes_up_in_parts(client, tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT)
    md5 = hashlib.md5(CONTENT).hexdigest()
    done = client.uploads.upload_file_chunked(
        file=path, mime_type="application/octet-stream", purpose="user_data", part_size=4 * 1024 * 1024, md5=md5
    )
    assert (done.status, done.object, done.filename, done.file.bytes) == ("completed", "upload", "large.bin", len(CONTENT))
    assert client.files.retrieve(done.file.id) == done.file
    client.files.delete(done.file.id)


def test_locally_a_part_may_have_more_than_8_mb(client):
    content = CONTENT[: 9 * 1024 * 1024]
    upload = create(client, len(content))
    assert (upload.status, upload.expires_at, upload.file) == ("pending", upload.created_at + 3600, None)
    part = client.uploads.parts.create(upload.id, data=content)
    assert (part.object, part.upload_id) == ("upload.part", upload.id)
    done = client.uploads.complete(upload.id, part_ids=[part.id])
    assert client.uploads.complete(upload.id, part_ids=[part.id]) == done
    assert client.files.content(done.file.id).read() == content
    client.files.delete(done.file.id)


def test_a_cancelled_upload_takes_no_parts(client):
    upload = create(client, 5)
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError) as refused:
        client.uploads.parts.create(upload.id, data=b"Hello")
    assert refused.value.code == "upload_cancelled"


def test_locally_there_are_no_urls(client):
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, 5, extra_body={"weir": {"direct": True}})
    assert refused.value.code == "direct_not_available"
    assert "/parts" in refused.value.message
