# Made from ../_async/job.py by make_sync.py.
"""A job, as it was when it was last looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from .. import _show
from .._mlflow import log_to_mlflow
from ..errors import JobFailed, SparankError
from .jobs import ENDED, PATIENCE_SECONDS, Jobs

if TYPE_CHECKING:
    from ..types import Artifact, Event, LayerRow, Point
    from ..types import Job as JobView


def _passed(point: Point) -> bool:
    return point["verdict"] is not None and point["verdict"]["passed"]


class Job:
    def __init__(self, jobs: Jobs, view: JobView) -> None:
        self._jobs = jobs
        self.view = view
        """Everything that the service says of it."""

    @property
    def id(self) -> str:
        return self.view["id"]

    @property
    def status(self) -> str:
        return self.view["status"]

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def passed(self) -> bool | None:
        """Whether some point meets its target and every constraint; None before the end."""
        return any(_passed(point) for point in self.points) if self.ended else None

    @property
    def points(self) -> list[Point]:
        """One for every target."""
        return self.view["points"]

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The numbers of the first point that was reached."""
        return self.view["metrics"]  # type: ignore[return-value]

    @property
    def artifacts(self) -> list[Artifact]:
        return self.view["artifacts"]

    def refresh(self) -> Job:
        self.view = self._jobs.get(self.id)
        return self

    def wait(
        self,
        *,
        progress: bool = True,
        on_progress: Callable[[JobView], None] | None = None,
        timeout: float | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> Job:
        """
        Follows the job to its end, with a progress bar in terminals and notebooks. Restarts of the service and lost connections are
        waited for. Raises JobFailed when there is no result, TimeoutError when it goes on for longer.
        """
        with _show.bar(progress) as show:

            def told(view: JobView) -> None:
                self.view = view
                show(view)
                if on_progress is not None:
                    on_progress(view)

            self.view = self._jobs.wait(self.id, on_progress=told, timeout=timeout, patience=patience)
        if self.status != "succeeded":
            raise JobFailed(self.id, self.status, self.view["error"])  # type: ignore[arg-type]
        return self

    def events(self, *, after: str = "0") -> Iterator[Event]:
        """What happens, as it happens, until the job has ended."""
        return self._jobs.events(self.id, after=after)

    def layers(self, *, point: int | None = None) -> Sequence[LayerRow]:
        """What happened to every layer, and why; ``point`` of several targets."""
        return self._jobs.layers(self.id, point=point)

    def cancel(self) -> Job:
        self.view = self._jobs.cancel(self.id)
        return self

    def retry(self) -> Job:
        """Runs it again, when it has failed or was canceled."""
        self.view = self._jobs.retry(self.id)
        return self

    def content(self, name: str = "model.onnx") -> bytes:
        """An artifact in memory."""
        return self._jobs.content(self._named(name))

    def report(self) -> dict[str, Any]:
        """The numbers of the job and of every layer, as report.json has them."""
        report: dict[str, Any] = json.loads(self.content("report.json"))
        return report

    def download(self, path: str | os.PathLike[str] = ".", name: str = "model.onnx") -> Path:
        """Into a file, or into a directory that is there; goes on where an earlier download broke."""
        target = Path(path) / name if Path(path).is_dir() else Path(path)
        return self._jobs.save(self._named(name), target)

    def download_all(self, directory: str | os.PathLike[str]) -> list[Path]:
        """All artifacts, into a directory that is made."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.refresh()
        return [self.download(directory, artifact["name"]) for artifact in self.artifacts]

    def log_to_mlflow(self) -> None:
        """Target, numbers and artifacts into the active run of MLflow."""
        with log_to_mlflow(self.view) as directory:
            self.download_all(directory)

    def _named(self, name: str) -> Artifact:
        # The answer to a submission is older than what the job has made.
        if not any(artifact["name"] == name for artifact in self.artifacts):
            self.refresh()
        for artifact in self.artifacts:
            if artifact["name"] == name:
                return artifact
        there = ", ".join(artifact["name"] for artifact in self.artifacts) or "none"
        raise SparankError(f"{self.id} ({self.status}) has no artifact {name}; it has {there}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        return _show.html(self.view)

    def _repr_markdown_(self) -> str:
        return _show.markdown(self.view)
