# Made from ../_async/jobs.py by make_sync.py.
"""The jobs of the key's team, their events and their files."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import quote

import httpx
from httpx_sse import EventSource

from .._files import Part, part_of
from ..errors import ConnectionFailed, Damaged, SparankError
from .transport import CHECK_SECONDS, Transport

if TYPE_CHECKING:
    from ..types import Artifact, Event, Job, LayerRow

ENDED = ("succeeded", "failed", "canceled")
# What moves within a step is seen so often; that a job has ended is told at once.
LOOK_SECONDS = 2
PATIENCE_SECONDS = 300.0
# The service says something at least every 15 seconds.
SILENCE_SECONDS = 45.0
RECONNECT_SECONDS = 0.5
# Connections in a row that may break without a byte.
BARREN = 5


class Jobs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(self, spec: dict[str, Any], *, idempotency_key: str | None = None) -> Job:
        """An answer that was lost on the way makes no second job: the call is made again under the same key."""
        view: Job = self._transport.json(
            "POST",
            "/jobs",
            headers={"idempotency-key": idempotency_key or secrets.token_hex(16)},
            json=spec,
            safe=True,
            timeout=CHECK_SECONDS,
        )
        return view

    def dry_run(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Checks and estimates; nothing is stored."""
        call = {"params": {"dry_run": "true"}, "json": spec, "safe": True, "timeout": CHECK_SECONDS}
        answer: dict[str, Any] = self._transport.json("POST", "/jobs", **call)
        return answer

    def get(self, id: str) -> Job:
        view: Job = self._transport.json("GET", _path(id))
        return view

    def list(
        self,
        *,
        status: str | Sequence[str] | None = None,
        labels: dict[str, str] | None = None,
        created_after: str | None = None,
        limit: int = 100,
    ) -> Iterator[Job]:
        """Newest first; pages are fetched when they are needed."""
        params: dict[str, Any] = {"limit": limit, **{f"label.{key}": value for key, value in (labels or {}).items()}}
        if status is not None:
            params["status"] = status if isinstance(status, str) else ",".join(status)
        if created_after is not None:
            params["created_after"] = created_after
        while True:
            page = self._transport.json("GET", "/jobs", params=params)
            for view in page["data"]:
                yield view
            if page["next"] is None:
                return
            params["after"] = page["next"]

    def wait(
        self,
        id: str,
        *,
        on_progress: Callable[[Job], None] | None = None,
        timeout: float | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> Job:
        """The job as it ended, whatever that is. A service that is away is waited for, ``patience`` seconds each time."""
        until = None if timeout is None else time.monotonic() + timeout
        headers: dict[str, str] = {}
        while True:
            response = self._transport.send("GET", _path(id), headers=headers, patience=patience)
            if response.status_code != 304:
                view: Job = response.json()
                if on_progress is not None:
                    on_progress(view)
                if view["status"] in ENDED:
                    return view
                headers = {"prefer": f"wait={LOOK_SECONDS}", "if-none-match": response.headers.get("etag", "")}
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"{id} has not ended within {timeout} seconds; it goes on")
            # The service answers after a moment at the latest, unless a proxy does not let the preference through.
            if "preference-applied" not in response.headers and response.status_code == 304:
                time.sleep(LOOK_SECONDS)
            else:
                time.sleep(0.1)

    def events(self, id: str, *, after: str = "0") -> Iterator[Event]:
        """What happens, as it happens, until the job has ended: each event once, over lost connections too."""
        last = after
        while True:
            headers = {"accept": "text/event-stream", "last-event-id": last}
            response = self._transport.send(
                "GET", f"{_path(id)}/events", headers=headers, stream=True, timeout=SILENCE_SECONDS
            )
            try:
                if response.status_code == 204:
                    return
                for message in EventSource(response).iter_sse():
                    if message.data == "":
                        continue
                    event: Event = json.loads(message.data)
                    last = event["id"]
                    yield event
            except httpx.TransportError:
                pass  # goes on behind the last event
            finally:
                response.close()
            time.sleep(RECONNECT_SECONDS)

    def layers(self, id: str, *, point: int | None = None) -> Sequence[LayerRow]:
        params = {} if point is None else {"point": point}
        rows: list[LayerRow] = (self._transport.json("GET", f"{_path(id)}/layers", params=params))["data"]
        return rows

    def cancel(self, id: str) -> Job:
        view: Job = self._transport.json("POST", f"{_path(id)}/cancel", safe=True)
        return view

    def retry(self, id: str) -> Job:
        """Runs a failed or canceled job again."""
        view: Job = self._transport.json("POST", f"{_path(id)}/retry")
        return view

    def delete(self, id: str) -> None:
        self._transport.send("DELETE", _path(id))

    def stream(self, artifact: Artifact, *, start: int = 0) -> Iterator[bytes]:
        """The bytes of an artifact from ``start`` on. A connection that breaks is opened again where it broke."""
        at, barren, total = start, 0, artifact["bytes"]
        while at < total:
            before = at
            headers = {"accept-encoding": "identity", **({} if at == 0 else {"range": f"bytes={at}-"})}
            response = self._transport.send("GET", artifact["url"], headers=headers, stream=True)
            # Whoever answers with the whole file, as a store behind a redirect may, has its beginning passed over.
            over = 0 if response.status_code == 206 else at
            try:
                for chunk in response.iter_raw():
                    fresh = chunk[over:]
                    over -= len(chunk) - len(fresh)
                    at += len(fresh)
                    if fresh:
                        yield fresh
            except httpx.TransportError:
                pass  # goes on where it broke
            finally:
                response.close()
            if at > total:
                raise SparankError(f"{artifact['name']} has more than the {total} bytes that were announced")
            barren = 0 if at > before else barren + 1
            if barren >= BARREN:
                raise ConnectionFailed(f"{artifact['name']} broke off at byte {at} of {total}")
            if at < total:
                time.sleep(RECONNECT_SECONDS)

    def content(self, artifact: Artifact) -> bytes:
        """An artifact in memory, compared with its hash."""
        chunks = []
        for chunk in self.stream(artifact):
            chunks.append(chunk)
        content = b"".join(chunks)
        if hashlib.sha256(content).hexdigest() != artifact["sha256"]:
            raise Damaged(f"{artifact['name']} was damaged on the way")
        return content

    def save(self, artifact: Artifact, path: str | os.PathLike[str]) -> Path:
        """
        Writes an artifact beside ``path``, compares it, and moves it there. What a broken download has left is gone on with, also
        by another process.
        """
        target = Path(path)
        for fresh in (False, True):
            part = Part(part_of(target, artifact["sha256"]), 0 if fresh else artifact["bytes"])
            with part.open() as file:
                for chunk in self.stream(artifact, start=part.there):
                    part.hash.update(chunk)
                    file.write(chunk)
            if part.hash.hexdigest() == artifact["sha256"]:
                os.replace(part.path, target)
                return target
            part.path.unlink()
            # What an earlier process left may be the damage: once more, from the beginning.
            if part.there == 0:
                break
        raise Damaged(f"{artifact['name']} was damaged on the way")


def _path(id: str) -> str:
    return f"/jobs/{quote(id, safe='')}"
