"""A job as a run of MLflow, where that is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .types import Job


def numbers(view: Job) -> dict[str, float]:
    """What was measured, flat; of several points each with its number in front."""
    found: dict[str, float] = {}
    several = len(view["points"]) > 1
    for point in view["points"]:
        metrics: Any = point["metrics"]
        if metrics is None:
            continue
        front = f"point_{point['point']}_" if several else ""
        values = {f"{name}_ratio": metrics[name]["ratio"] for name in ("parameters", "macs", "bytes")}
        values.update({f"speedup_batch_{one['batch']}": one["speedup"] for one in metrics["latency"]})
        if metrics["accuracy"] is not None:
            values.update({"accuracy": metrics["accuracy"]["after"], "accuracy_drop": metrics["accuracy"]["drop"]})
        values["relative_error"] = metrics["fidelity"]["relative_error"]
        values["top1_agreement"] = metrics["fidelity"]["top1_agreement"]
        values["passed"] = float(point["verdict"] is not None and point["verdict"]["passed"])
        found.update({front + name: float(value) for name, value in values.items() if value is not None})
    return found


@contextmanager
def log_to_mlflow(view: Job) -> Iterator[str]:
    """Whoever has the files puts them into the directory."""
    import mlflow

    parameters = {f"target_{i + 1}": str(point["target"]) for i, point in enumerate(view["points"])}
    mlflow.log_params({"sparank_job": view["id"], **parameters, **{f"label_{k}": v for k, v in view["labels"].items()}})
    mlflow.log_metrics(numbers(view))
    with tempfile.TemporaryDirectory(prefix="sparank-") as directory:
        yield directory
        mlflow.log_artifacts(directory)
