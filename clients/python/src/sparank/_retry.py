"""When a call is made again. No input or output: the client and its asynchronous twin share it."""

from __future__ import annotations

import random
import time

import httpx

from .errors import ConnectionFailed, ServiceError

PATIENCE_SECONDS = 60.0
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 8.0
# The service was not there to take the call, or said that it did nothing with it.
REFUSED = {429, 503}
# It may have done it.
UNKNOWN = {502, 504}


class Tries:
    """The tries of one call."""

    def __init__(self, safe: bool, patience: float) -> None:
        self._safe = safe
        self._until = time.monotonic() + patience
        self._growing = FIRST_DELAY_SECONDS

    def delay_after(self, error: ServiceError | ConnectionFailed) -> float:
        """Seconds until the next try. Raises the error when there is none."""
        # Spread, so that many clients do not come back to a service that has started at the same moment.
        delay = self._growing * random.uniform(0.5, 1)
        self._growing = min(LONGEST_DELAY_SECONDS, 2 * self._growing)
        if isinstance(error, ServiceError):
            again = error.status in REFUSED or error.code == "idempotency_in_flight"
            again = again or (self._safe and error.status in UNKNOWN)
            delay = delay if error.retry_after is None else error.retry_after
        else:
            again = self._safe or isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))
        if not again or time.monotonic() + delay > self._until:
            raise error
        return delay


def retry_after(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return None


def service_error(response: httpx.Response) -> ServiceError:
    """What an answer with an error status says; its body has been read."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}  # not from the service itself: a proxy in between
    return ServiceError(response.status_code, problem if isinstance(problem, dict) else {}, retry_after(response))


def stranger(response: httpx.Response) -> ConnectionFailed:
    kind = response.headers.get("content-type", "nothing")
    where = f"{response.url.scheme}://{response.url.netloc.decode()}"
    return ConnectionFailed(
        f"the service at {where} does not answer as Sparank does (it sent {kind}): is that its URL?"
    )


def shut(http: httpx.Client | httpx.AsyncClient) -> None:
    """For a client that nobody closed: two lines do not."""
    if isinstance(http, httpx.Client):
        http.close()
