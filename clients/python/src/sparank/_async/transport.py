"""Calls of the service: who calls, what an error is, and when a call is made again."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any, Callable, Union
from urllib.parse import urlsplit

import httpx

from .._retry import PATIENCE_SECONDS, Tries, service_error, shut, stranger
from ..errors import ConnectionFailed

# Submitted files are checked before the answer, and checks may wait for each other.
CHECK_SECONDS = 1900.0
TIMEOUT = httpx.Timeout(90.0, connect=10.0)

Content = Callable[[], Union[bytes, AsyncIterator[bytes]]]


class AsyncTransport:
    def __init__(self, url: str, api_key: str | None, patience: float, http: httpx.AsyncClient | None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"the URL of the service must begin with http:// or https://, not {url}")
        self.url = url.rstrip("/")
        self._patience = patience
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._own = http is None
        self._http = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True) if http is None else http
        if self._own:
            weakref.finalize(self, shut, self._http)

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        json: Any = None,
        content: Content | None = None,
        safe: bool | None = None,
        patience: float | None = None,
        stream: bool = False,
        timeout: float | None = None,
    ) -> httpx.Response:
        """``safe``: the same call may arrive twice. ``content`` is made anew for every try."""
        safe = method not in ("POST", "PATCH") if safe is None else safe
        tries = Tries(safe, self._patience if patience is None else patience)
        while True:
            request = self._http.build_request(
                method,
                self.url + path,
                params=params,
                headers={**self._headers, **(headers or {})},
                json=json,
                content=None if content is None else content(),
                timeout=TIMEOUT if timeout is None else httpx.Timeout(timeout, connect=10.0),
            )
            try:
                response = await self._http.send(request, stream=stream)
                if response.is_success or response.status_code == 304:
                    return response
                await response.aread()
                await response.aclose()
                delay = tries.delay_after(service_error(response))
            except httpx.TransportError as error:
                failure = ConnectionFailed(
                    f"the service at {self.url} cannot be reached ({error or type(error).__name__})"
                )
                failure.__cause__ = error
                delay = tries.delay_after(failure)
            await asyncio.sleep(delay)

    async def json(self, method: str, path: str, **call: Any) -> Any:
        response = await self.send(method, path, **call)
        try:
            return response.json()
        except ValueError:
            raise stranger(response) from None


PATIENCE = PATIENCE_SECONDS
