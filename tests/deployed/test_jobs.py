"""Background responses through the queues, to signed webhooks."""

import pytest
from service import call, eventually


def test_twenty_jobs_at_once_end_once_and_tell_it_once(told):
    told = told()
    begun = {told.begin(text=f"Job {n}").id for n in range(20)}
    events = [told.event(60) for _ in begun]
    assert {event.type for event in events} == {"response.completed"}
    assert {event.data.id for event in events} == begun and len({event.id for event in events}) == 20
    assert told.receiver.requests.empty()


@pytest.mark.parametrize("by", ["its project", "the operator"])
def test_a_cancelled_job_is_told(told, operator, by):
    told = told()
    job = told.begin("slow", "word " * 500)
    if by == "its project":
        assert told.client.responses.cancel(job.id).status == "cancelled"
    else:
        seen = call(operator, "GET", f"/organization/jobs/{job.id}")
        assert seen["project_id"] == told.project.id and seen["status"] in ("queued", "in_progress")
        assert call(operator, "POST", f"/organization/jobs/{job.id}/cancel")["status"] == "cancelled"
    event = told.event()
    assert (event.type, event.data.id) == ("response.cancelled", job.id)


def test_a_receiver_that_failed_gets_it_again_when_asked(told):
    told = told(410)  # Gone: no further attempt is made.
    job = told.begin()
    assert told.event().data.id == job.id
    path = f"/webhook_endpoints/{told.endpoint['id']}"
    (failed,) = eventually(lambda: told.deliveries("failed"))
    call(told.client, "POST", path, {"status": "enabled"})
    call(told.client, "POST", f"{path}/deliveries/{failed['id']}/redeliver")
    assert told.event().data.id == job.id
    eventually(lambda: told.deliveries("delivered"))


def test_a_job_whose_provider_fails_is_tried_four_times_and_told_as_failed(failing, operator):
    told, job = failing
    event = told.event(240)
    assert (event.type, event.data.id) == ("response.failed", job.id)
    ended = told.client.responses.retrieve(job.id)
    assert ended.status == "failed" and ended.error.code == "server_error"
    assert call(operator, "GET", f"/organization/jobs/{job.id}")["runs"] == 4
