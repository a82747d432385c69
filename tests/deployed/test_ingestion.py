"""Files through the queue of vector stores. The emulator has no vector index, so that nothing is searched here."""

from service import eventually


def test_a_file_is_read_by_its_worker(told):
    client = told().client
    file = client.files.create(file=("cats.md", b"# Cats\n\nCats hunt mice at night."), purpose="assistants")
    store = client.vector_stores.create(name="Handbook", file_ids=[file.id])
    assert (store.status, store.file_counts.in_progress) == ("in_progress", 1)
    eventually(lambda: client.vector_stores.retrieve(store.id).file_counts.completed == 1)
    attached = client.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert (attached.status, attached.last_error, attached.usage_bytes) == ("completed", None, 32)
    assert client.vector_stores.files.content(file.id, vector_store_id=store.id).data[0].text == "# Cats\n\nCats hunt mice at night."
    assert client.vector_stores.delete(store.id).deleted
