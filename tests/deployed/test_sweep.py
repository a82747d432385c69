"""The sweep, which the schedule starts each minute, finds what was lost."""

from service import call


def test_a_job_whose_message_was_lost_is_done(lost_message):
    told, job = lost_message
    assert told.event(180).data.id == job.id
    assert told.client.responses.retrieve(job.id).status == "completed"


def test_an_event_whose_message_was_lost_is_delivered(lost_delivery):
    told, job = lost_delivery
    event = told.event(180)
    assert (event.type, event.data.id) == ("response.completed", job.id)


def test_a_job_whose_worker_was_killed_is_done_by_another(orphaned, operator):
    told, job = orphaned
    event = told.event(240)
    assert (event.type, event.data.id) == ("response.completed", job.id)
    assert call(operator, "GET", f"/organization/jobs/{job.id}")["runs"] == 2
    numbers = [event.sequence_number for event in told.client.responses.retrieve(job.id, stream=True)]
    assert numbers == list(range(len(numbers)))
