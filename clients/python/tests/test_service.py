"""The whole way against the real service."""

from __future__ import annotations

import signal
import threading

import network
import numpy as np
import onnx
import pytest

import sparank


def test_two_lines_are_the_whole_way(environment, files, quick, tmp_path):
    job = sparank.compress(*files, **quick)
    path = job.wait().download(tmp_path / "compressed.onnx")

    assert (job.status, job.passed) == ("succeeded", True)
    onnx.checker.check_model(str(path))
    assert job.metrics["parameters"]["ratio"] >= 2
    report = job.report()
    assert report["job_id"] == job.id
    assert {row["name"] for row in job.layers()} >= {"conv0", "conv1"}
    assert "passed" in job._repr_html_() and "<table>" in job._repr_html_()
    names = {one.name for one in job.download_all(tmp_path / "all")}
    assert names >= {"model.onnx", "report.json"}
    assert [event["type"] for event in job.events()][-1] == "job.succeeded"


def test_bytes_and_arrays_are_sent_as_files(environment, quick):
    labels = np.arange(128) % network.CLASSES
    model = onnx.load_from_string(network.model())
    job = sparank.compress(model, network.samples(), evaluation=(network.samples(), labels), **quick).wait()
    assert job.metrics["accuracy"]["samples"] == 128
    # The same content under the same key is the same job.
    again = {"idempotency_key": "once", **quick}
    first = sparank.compress(network.model(), network.samples(), **again)
    assert sparank.compress(network.model(), network.samples(), **again).id == first.id
    assert first.wait(timeout=120).ended


async def test_the_asynchronous_client_goes_the_same_way(environment, files, quick, tmp_path):
    async with sparank.AsyncSparank() as client:
        job = await client.compress(*files, **quick, labels={"run": "async"})
        seen = [event["type"] async for event in job.events()]
        await job.wait()
        path = await job.download(tmp_path)
        assert path == tmp_path / "model.onnx" and path.stat().st_size > 0
        assert seen[-1] == "job.succeeded"
        assert [one["id"] async for one in client.jobs.list(labels={"run": "async"})] == [job.id]


def test_faults_have_a_code_and_a_pointer(environment, files):
    with pytest.raises(sparank.ServiceError) as caught:
        sparank.compress(*files, target={"parameter_ratio": 0.5})
    assert caught.value.code == "invalid_spec"
    assert caught.value.pointer.startswith("/target")
    with pytest.raises(sparank.ServiceError) as caught:
        sparank.Sparank(api_key="spk_nobody").job("job_none")
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_a_job_that_ends_without_a_result_raises(environment, files, quick):
    with sparank.Sparank() as client:
        job = client.compress(*files, **{**quick, "method": {"samples": 500, "max_iterations": 1000}})
        job.cancel()
        with pytest.raises(sparank.JobFailed) as caught:
            job.wait()
    assert (caught.value.job_id, caught.value.status) == (job.id, "canceled")
    assert job.passed is False


def test_waiting_lives_through_a_kill_of_the_service(environment, files, quick):
    job = sparank.compress(*files, **quick)
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(job.wait(timeout=240)))
    waiting.start()
    environment.stop(signal.SIGKILL)
    environment.start()
    waiting.join(300)
    assert [one.status for one in ended] == ["succeeded"]
