# Made from ../_async/client.py by make_sync.py.
"""A client of one service with one key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx

from .._data import samples_file
from .._files import CHUNK, FileToSend
from .._models import model_file
from ..errors import ServiceError, SparankError
from .job import Job
from .jobs import Jobs
from .transport import PATIENCE, Transport

if TYPE_CHECKING:
    from ..types import Upload

# What expires sooner is sent again, which makes it last.
LASTS = timedelta(hours=1)
LOCAL = "http://127.0.0.1:8080"
MAX_SAMPLES = 2000


class Sparank:
    """Without arguments: SPARANK_URL (or the local service) and SPARANK_API_KEY."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        patience: float = PATIENCE,
        http: httpx.Client | None = None,
    ) -> None:
        url = url or os.environ.get("SPARANK_URL") or LOCAL
        self._transport = Transport(url, api_key or os.environ.get("SPARANK_API_KEY"), patience, http)
        self.jobs = Jobs(self._transport)

    @property
    def url(self) -> str:
        return self._transport.url

    def __enter__(self) -> Sparank:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def compress(
        self,
        model: Any,
        calibration: Any,
        *,
        target: dict[str, float] | None = None,
        targets: list[dict[str, float]] | None = None,
        evaluation: Any = None,
        example: Any = None,
        max_samples: int = MAX_SAMPLES,
        seed: int = 1,
        idempotency_key: str | None = None,
        **spec: Any,
    ) -> Job:
        """
        Sends the files and submits the job; ``wait()`` of what comes back follows it.

        ``model``: a path, ONNX bytes, an ``onnx.ModelProto``, a ``torch.nn.Module`` (exported with ``example``, or one sample of the
        calibration data), a Keras model, or the ``{"upload": ...}`` of a file that is there already.
        ``calibration``, ``evaluation``: a path, an array, a pair of arrays (samples, labels), a dict of arrays, a ``DataLoader``, a
        ``tf.data.Dataset`` or any iterable of batches; at most ``max_samples`` are taken, chosen by ``seed``.
        ``spec``: the rest of the specification, as ``constraints={"max_accuracy_drop": 0.01}``.
        """
        if (target is None) == (targets is None):
            raise ValueError("give target or targets")
        data = samples_file(calibration, "calibration", max_samples=max_samples, seed=seed)
        measured = samples_file(evaluation, "evaluation", max_samples=max_samples, seed=seed, labels=True)
        # Named last: the export of a model may need a sample.
        network = model_file(model, example, calibration)
        body = {**spec, **({"targets": targets} if target is None else {"target": target})}
        for name, file in (("model", network), ("calibration", data), ("evaluation", measured)):
            if file is not None:
                body[name] = file if isinstance(file, dict) else {"upload": (self.upload(file))["id"]}
        return Job(self.jobs, self.jobs.submit(body, idempotency_key=idempotency_key))

    def job(self, id: str) -> Job:
        return Job(self.jobs, self.jobs.get(id))

    def upload(self, file: FileToSend) -> Upload:
        """Sends a file unless the service has its content already."""
        known = self._known(file.sha256)
        if known is not None:
            return known

        def chunks() -> Iterator[bytes]:
            if isinstance(file.content, bytes):
                yield file.content
                return
            with file.content.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    yield chunk

        upload: Upload = self._transport.json(
            "POST",
            "/uploads",
            params={"filename": file.filename},
            headers={
                "content-type": "application/octet-stream",
                "content-length": str(file.size),
                "repr-digest": file.repr_digest,
            },
            content=chunks,
            safe=True,  # the same content is stored once
        )
        return upload

    def _known(self, sha256: str) -> Upload | None:
        try:
            upload: Upload = self._transport.json("GET", f"/uploads/sha256:{sha256}")
        except ServiceError as error:
            # A key that may only write cannot ask.
            if error.status in (403, 404):
                return None
            raise
        expires = upload.get("expires_at")
        if expires is None:
            raise SparankError("the service does not say when an upload expires")
        lasts = datetime.fromisoformat(expires.replace("Z", "+00:00")) - datetime.now(timezone.utc)
        return upload if lasts > LASTS else None
