"""What the client does when the way is bad; the service is played."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest

import sparank

JOB = {"id": "job_1", "status": "queued", "artifacts": [], "points": [], "error": None}
SPEC = {"model": {"upload": "a"}, "calibration": {"upload": "b"}, "target": {"parameter_ratio": 4}}


class Played:
    """A service that gives these answers, one for each request, the last one for all that follow."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, **options) -> sparank.Sparank:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return sparank.Sparank("http://service", "spk_test", http=http, **options)


def answer(status, value=None, **headers):
    return lambda _request: httpx.Response(
        status, json=value, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def test_a_submission_is_made_again_under_the_same_key():
    played = Played(
        answer(503, {}, retry_after="0"),
        httpx.ReadError("broken"),
        answer(502, {}),
        answer(409, {"code": "idempotency_in_flight"}),
        answer(202, JOB),
    )
    assert played.client().jobs.submit(SPEC)["id"] == "job_1"
    assert len(played.seen) == 5
    assert len({request.headers["idempotency-key"] for request in played.seen}) == 1
    assert {json.loads(request.content)["target"]["parameter_ratio"] for request in played.seen} == {4}


def test_a_call_that_may_not_be_done_twice_is_not_made_again():
    played = Played(httpx.ReadError("broken"))
    with pytest.raises(sparank.ConnectionFailed, match="http://service cannot be reached"):
        played.client().jobs.retry("job_1")
    assert len(played.seen) == 1
    # One that has not arrived is.
    played = Played(httpx.ConnectError("refused"), answer(202, JOB))
    assert played.client().jobs.retry("job_1")["id"] == "job_1"


def test_patience_ends():
    played = Played(answer(503, {"code": "unavailable"}, retry_after="5"))
    with pytest.raises(sparank.ServiceError) as caught:
        played.client(patience=1).jobs.get("job_1")
    assert (caught.value.status, caught.value.retry_after, len(played.seen)) == (503, 5, 1)


def test_another_program_is_told_from_the_service():
    with pytest.raises(sparank.ConnectionFailed, match=r"\(it sent text/html.*is that its URL"):
        Played(lambda _: httpx.Response(200, html="<p>login</p>")).client().jobs.get("job_1")
    with pytest.raises(ValueError, match="must begin with http"):
        sparank.Sparank("ftp://service")


def events(*ids, broken=False):
    def stream():
        yield b": hello\n\n"
        for one in ids:
            yield f'id: {one}\nevent: x\ndata: {{"id":"{one}","type":"x"}}\n\n'.encode()
        if broken:
            raise httpx.ReadError("broken")

    return lambda _: httpx.Response(200, content=stream(), headers={"content-type": "text/event-stream"})


def test_events_go_on_where_the_connection_broke():
    played = Played(events(1, 2, broken=True), httpx.ReadError("broken"), events(3), answer(204))
    assert [event["id"] for event in played.client().jobs.events("job_1")] == ["1", "2", "3"]
    assert [request.headers["last-event-id"] for request in played.seen] == ["0", "2", "2", "3"]


CONTENT = b"abcdefghij" * 100
ARTIFACT = {
    "name": "model.onnx",
    "url": "/jobs/job_1/artifacts/model.onnx",
    "bytes": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}


def broken_at(count):
    def stream():
        yield CONTENT[:count]
        raise httpx.ReadError("broken")

    return lambda _: httpx.Response(200, content=stream())


def rest(request):
    start = int(request.headers.get("range", "bytes=0-")[6:-1])
    return httpx.Response(206 if start else 200, content=iter([CONTENT[start:]]))


def test_a_download_goes_on_where_it_broke(tmp_path):
    played = Played(broken_at(300), rest)
    path = played.client().jobs.save(ARTIFACT, tmp_path / "model.onnx")
    assert path.read_bytes() == CONTENT
    assert [request.headers.get("range") for request in played.seen] == [None, "bytes=300-"]
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("left", [CONTENT[:500], b"x" * 500, b"x" * 2000])
@pytest.mark.parametrize("ranges", [True, False])
def test_what_an_earlier_process_left_is_used_or_thrown_away(tmp_path, left, ranges):
    part = tmp_path / f"model.onnx.{ARTIFACT['sha256'][:16]}.part"
    part.write_bytes(left)
    played = Played(rest if ranges else lambda _: httpx.Response(200, content=iter([CONTENT])))
    assert played.client().jobs.save(ARTIFACT, tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_damaged_download_leaves_nothing(tmp_path):
    played = Played(lambda _: httpx.Response(200, content=iter([b"x" * len(CONTENT)])))
    with pytest.raises(sparank.Damaged):
        played.client().jobs.save(ARTIFACT, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


async def test_the_asynchronous_client_tries_again_too(tmp_path):
    played = Played(answer(503, {}, retry_after="0"), httpx.ReadError("broken"), answer(202, JOB))
    http = httpx.AsyncClient(transport=httpx.MockTransport(played))
    async with http, sparank.AsyncSparank("http://service", "spk_test", http=http) as client:
        assert (await client.jobs.submit(SPEC))["id"] == "job_1"
    assert len({request.headers["idempotency-key"] for request in played.seen}) == 1
