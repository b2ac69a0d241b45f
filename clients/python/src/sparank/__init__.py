"""
Client of Sparank, which compresses trained convolutional networks.

    job = sparank.compress(model, calibration, target={"parameter_ratio": 4})
    job.wait().download("compressed.onnx")
"""

from __future__ import annotations

from typing import Any

from ._async.client import AsyncSparank
from ._async.job import AsyncJob
from ._sync.client import Sparank
from ._sync.job import Job
from .errors import ConnectionFailed, Damaged, Fault, JobFailed, ServiceError, SparankError

__all__ = [
    "AsyncJob",
    "AsyncSparank",
    "ConnectionFailed",
    "Damaged",
    "Fault",
    "Job",
    "JobFailed",
    "ServiceError",
    "Sparank",
    "SparankError",
    "compress",
    "compress_async",
]


def compress(
    model: Any, calibration: Any, *, url: str | None = None, api_key: str | None = None, **options: Any
) -> Job:
    """Sends the files and submits the job. The options are those of ``Sparank.compress``; ``wait()`` follows the job."""
    return Sparank(url, api_key).compress(model, calibration, **options)


async def compress_async(
    model: Any, calibration: Any, *, url: str | None = None, api_key: str | None = None, **options: Any
) -> AsyncJob:
    """As ``compress``."""
    return await AsyncSparank(url, api_key).compress(model, calibration, **options)
