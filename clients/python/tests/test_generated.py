"""A client that openapi-python-client makes of the OpenAPI document goes the whole way too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KEY, ROOT

pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")


@pytest.fixture
def generated(tmp_path, monkeypatch):
    command = ["generate", "--path", str(ROOT / "docs" / "openapi.json"), "--output-path", str(tmp_path / "made")]
    made = subprocess.run(
        [str(Path(sys.executable).parent / "openapi-python-client"), *command, "--meta", "none"],
        capture_output=True,
        text=True,
        check=True,
    )
    # A part that it cannot read is left out with a warning.
    assert "Skipping" not in made.stdout.replace("Skipping Integration", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    import made as package

    return package


def test_the_whole_way(generated, service, files, quick):
    from made.api.jobs import create_job, download_artifact, get_job, list_layers
    from made.api.uploads import create_upload
    from made.models import Job, SpecRequest
    from made.types import File

    client = generated.AuthenticatedClient(service.url, KEY, timeout=120, raise_on_unexpected_status=True)
    with client:
        uploads = {}
        for name, path in zip(("model", "calibration"), files):
            with path.open("rb") as file:
                sent = create_upload.sync(client=client, body=File(file, path.name), filename=path.name)
            uploads[name] = {"upload": sent.id}
        # Members with defaults are left out.
        job = create_job.sync(
            client=client, body=SpecRequest.from_dict({**uploads, **quick}), idempotency_key="generated"
        )
        while job.status not in ("succeeded", "failed", "canceled"):
            job = get_job.sync(job.id, client=client, prefer="wait=20")
            assert isinstance(job, Job)
        assert job.status == "succeeded"
        assert job.metrics.parameters.ratio >= 2
        assert [row.name for row in list_layers.sync(job.id, client=client).data][:2] == ["conv0", "conv1"]
        model = download_artifact.sync(job.id, "model.onnx", client=client).payload.read()
        assert len(model) == next(one.bytes_ for one in job.artifacts if one.name == "model.onnx")
