"""Messages that no worker could finish: they are kept, shown to the operator, and replayed."""

import pytest
from service import call, eventually, until_ended


def letters(operator, queue, text):
    """Dead letters whose body has `text`."""
    found = call(operator, "GET", f"/organization/dead_letters?queue={queue}")["data"]
    return [letter for letter in found if text in letter["body"]]


def replay(operator, letter):
    body = {"queue": letter["queue"], "ids": [letter["id"]]}
    return call(operator, "POST", "/organization/dead_letters/replay", body)["replayed"]


@pytest.mark.parametrize("name", ["respond", "batch", "ingest", "deliver"])
def test_what_nobody_can_read_becomes_a_dead_letter_each_time(queues, operator, name):
    queue, body = queues[name], f'{{"version": 0, "poison": "{name}"}}'
    queue.send(body)
    (letter,) = eventually(lambda: letters(operator, name, body), 60)
    assert letter["queue"] == name and letter["body"] == body
    assert replay(operator, letter) == 1 and not letters(operator, name, body)
    (again,) = eventually(lambda: letters(operator, name, body), 60)
    assert again["id"] != letter["id"]


@pytest.mark.parametrize("name", ["respond", "deliver"])
def test_a_replayed_dead_letter_is_worked_on(queues, operator, told, name):
    told, queue = told(), queues[name]
    with queue.held_up():
        job = told.begin()
        if name == "deliver":
            until_ended(told.client, job)
        queue.bury(told.project.id)
    (letter,) = letters(operator, name, told.project.id)
    assert replay(operator, letter) == 1
    assert told.event().data.id == job.id  # Sooner than the sweep would have found it.
    assert until_ended(told.client, job).status == "completed"
