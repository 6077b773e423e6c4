"""What a call of an asynchronous transport is, whatever library sends it."""

from __future__ import annotations

import asyncio
import weakref

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.transports import addresses, failures


class AsyncCalls:
    """Base of the asynchronous transports: redirections, the total timeout, errors in our words."""

    _redirects: int

    def __init__(self) -> None:
        self._running = 0
        self._closings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = (
            weakref.WeakKeyDictionary()
        )

    async def __call__(
        self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
    ) -> HTTPResponse:
        """Send a request and return the answer, read to its end."""
        scope = asyncio.timeout(timeout.limit)
        closings = self._times_closed()
        self._running += 1
        try:
            async with scope:
                url = request.url
                response = await self._exchange(request, url, timeout)
                for _ in range(self._redirects):
                    further = addresses.next_url(request, url, response)
                    if further is None:
                        break
                    url = further
                    response = await self._exchange(request, url, timeout)
                return response
        except Exception as error:
            ours = self._translated(error, request, timeout, scope.expired())
            if ours is None:
                raise
            if closings != self._times_closed():
                ours = failures.closed_meanwhile(ours, request)
            raise ours from error
        finally:
            self._running -= 1

    def _times_closed(self) -> int:
        return self._closings.get(asyncio.get_running_loop(), 0)

    def _note_closing(self) -> None:
        """Let the calls of this event loop that are under way know why they end; those of others go on."""
        self._closings[asyncio.get_running_loop()] = self._times_closed() + 1

    async def _exchange(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> HTTPResponse:
        raise NotImplementedError

    def _translated(
        self, error: Exception, request: HTTPRequest, timeout: HTTPTimeout, late: bool
    ) -> Exception | None:
        raise NotImplementedError
