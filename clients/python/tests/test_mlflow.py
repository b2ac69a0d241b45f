"""Jobs as runs of MLflow."""

from __future__ import annotations

import pytest

import sparank

mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed: logging to it is not tried")


@pytest.mark.filterwarnings("default")
def test_a_job_is_logged_into_the_active_run(environment, files, quick, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        sparank.compress(*files, **quick).wait().log_to_mlflow()
    logged = mlflow.get_run(run.info.run_id).data
    assert logged.metrics["parameters_ratio"] >= 2
    assert logged.params["target_1"] == "{'parameter_ratio': 2}"
    names = {one.path for one in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert names >= {"model.onnx", "report.json"}
