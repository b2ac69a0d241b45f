"""What can go wrong. Programs look at ``code``."""

from __future__ import annotations

from typing import Any, NamedTuple


class Fault(NamedTuple):
    """``pointer``: a JSON pointer into the specification, or another place, as ``#query/limit``."""

    pointer: str
    detail: str


class SparankError(Exception):
    """Base of everything that this package raises by itself."""

    code = "unknown"


class ServiceError(SparankError):
    """The service refused a call."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float | None = None) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"the service answered {status}")
        self.status = status
        self.code = str(problem.get("code", "unknown"))
        self.faults = [Fault(str(one.get("pointer")), str(one.get("detail"))) for one in problem.get("errors") or []]
        self.request_id: str | None = problem.get("request_id")
        self.retry_after = retry_after

    @property
    def pointer(self) -> str | None:
        """Where the first fault is."""
        return self.faults[0].pointer if self.faults else None

    def __str__(self) -> str:
        lines = [super().__str__(), *(f"  {pointer}: {detail}" for pointer, detail in self.faults)]
        return "\n".join(lines)


class ConnectionFailed(SparankError):
    """No answer, or one that does not come from Sparank."""

    code = "unavailable"


class Damaged(SparankError):
    """A download did not have the content that the service announced."""

    code = "damaged"


class JobFailed(SparankError):
    """The job ended without a result."""

    def __init__(self, job_id: str, status: str, error: dict[str, Any] | None) -> None:
        what = f"{job_id} was {status}" if error is None else f"{job_id} {status}: {error['detail']} ({error['code']})"
        super().__init__(what)
        self.job_id = job_id
        self.status = status
        self.code = status if error is None else str(error["code"])
        self.layer: str | None = None if error is None else error.get("layer")
