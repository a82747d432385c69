"""Files that go to the bucket with signed URLs, past weir."""

import hashlib
import os
import urllib.error
import urllib.request

import openai
import pytest

CONTENT = b"Hello, weir. " * 1_000


@pytest.fixture(scope="module")
def uploader(project):
    if not os.environ.get("WEIR_STACK"):
        pytest.skip("signs URLs of a bucket: needs WEIR_STACK, the name of a stack")
    return project().client()


def put(part, content):
    request = urllib.request.Request(part["url"], data=content, method=part["method"])
    with urllib.request.urlopen(request) as answer:
        return answer.status


def begin(client):
    details = {"filename": "a.txt", "purpose": "user_data", "mime_type": "text/plain", "bytes": len(CONTENT)}
    upload = client.uploads.create(**details, extra_body={"weir": {"direct": True}})
    (part,) = upload.model_extra["weir"]["parts"]
    return upload, part


def test_a_file_goes_to_the_bucket(uploader):
    upload, part = begin(uploader)
    assert part["bytes"] == len(CONTENT)
    with pytest.raises(openai.BadRequestError) as refused:
        uploader.uploads.complete(upload.id, part_ids=[part["id"]])
    assert refused.value.code == "part_not_uploaded"
    assert put(part, CONTENT) == 200
    done = uploader.uploads.complete(upload.id, part_ids=[part["id"]], md5=hashlib.md5(CONTENT).hexdigest())
    assert (done.status, done.file.bytes) == ("completed", len(CONTENT))
