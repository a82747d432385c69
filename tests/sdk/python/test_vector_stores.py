"""Vector stores with OpenAI's Python SDK, changed in nothing but `base_url` and `api_key`."""

import openai
import pytest

DOCUMENTS = {
    "pumps.md": "# Pumps\n\nThe pump of the second line is an XK-4471 with a pressure of twelve bar.\n\n## Maintenance\n\nGrease the bearing each month.",
    "cats.txt": "Cats sleep most of the day and hunt mice at night.",
    "taxes.html": "<html><body><h1>Taxes</h1><p>The value added tax in Germany is nineteen percent.</p></body></html>",
    "cities.csv": "city,population\nParis,2100000\nRome,2800000\n",
    "add.py": "def add(a, b):\n    # The sum of two numbers.\n    return a + b\n",
}

QUERIES = {
    "Where is the XK-4471?": "pumps.md",
    "When do cats hunt mice?": "cats.txt",
    "How high is the value added tax in Germany?": "taxes.html",
    "population of Rome": "cities.csv",
    "a function for the sum of two numbers": "add.py",
}


@pytest.fixture
def store(client):
    made = client.vector_stores.create(name="Handbook", metadata={"team": "docs"})
    for name, text in DOCUMENTS.items():
        file = client.vector_stores.files.upload_and_poll(
            vector_store_id=made.id, file=(name, text.encode()), attributes={"kind": name.rsplit(".")[-1]}
        )
        assert (file.status, file.last_error) == ("completed", None)
    yield made.id
    client.vector_stores.delete(made.id)


def test_the_right_document_comes_first_and_filters_hold(client, store):
    whole = client.vector_stores.retrieve(store)
    assert (whole.status, whole.file_counts.completed, whole.metadata) == ("completed", 5, {"team": "docs"})
    for query, name in QUERIES.items():
        found = client.vector_stores.search(store, query=query, max_num_results=3).data
        assert found[0].filename == name, query
        assert all(0 <= result.score <= 1 for result in found)
    only = client.vector_stores.search(store, query="cats", filters={"type": "in", "key": "kind", "value": ["csv", "py"]})
    assert {result.filename for result in only} <= {"cities.csv", "add.py"}


def test_what_is_detached_or_deleted_is_not_found_any_more(client, store):
    found = client.vector_stores.search(store, query="cats").data[0]
    assert client.vector_stores.files.content(found.file_id, vector_store_id=store).data[0].text == DOCUMENTS["cats.txt"]
    assert client.vector_stores.files.delete(found.file_id, vector_store_id=store).deleted
    assert "cats.txt" not in {result.filename for result in client.vector_stores.search(store, query="cats")}
    pumps = client.vector_stores.search(store, query="XK-4471").data[0]
    client.files.delete(pumps.file_id)
    assert "pumps.md" not in {result.filename for result in client.vector_stores.search(store, query="XK-4471")}
    assert client.vector_stores.retrieve(store).file_counts.total == 3


def test_lists_have_pages_and_updates_hold(client, store):
    listed = [file.id for file in client.vector_stores.files.list(store, limit=2, order="asc")]
    assert len(listed) == 5
    file = client.vector_stores.files.update(listed[0], vector_store_id=store, attributes={"year": 2026})
    assert file.attributes == {"year": 2026}
    changed = client.vector_stores.update(store, name="Manual", expires_after={"anchor": "last_active_at", "days": 7})
    assert (changed.name, changed.expires_after.days) == ("Manual", 7)
    assert store in [each.id for each in client.vector_stores.list(limit=1)]


def test_a_file_without_text_says_why(client, store):
    file = client.vector_stores.files.upload_and_poll(vector_store_id=store, file=("photo.png", b"\x89PNG\r\n\x1a\n\x00"))
    assert (file.status, file.last_error.code) == ("failed", "unsupported_file")
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve("file-000000000000000000000000", vector_store_id=store)
