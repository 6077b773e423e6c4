"""The deadline of the work in hand, for the calls that it leads to."""

from __future__ import annotations

from cqrs.deadlines import remaining
from cqrs.http.errors import HTTPDeadlineError
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware.headers import checked


class DeadlineMiddleware(FlowMiddleware):
    """Gives a call no more time than the deadline leaves (``cqrs.deadlines.deadline``).

    When nothing is left the call ends at once with ``HTTPDeadlineError`` and nothing is sent; no circuit
    breaker counts it. Without a deadline it does nothing.

    Args:
        header: name of a header that tells the server how many milliseconds are left, a whole number >= 1,
            say ``"X-Request-Timeout-Ms"``; ``None``: none is sent.

    Raises:
        ConfigurationError: no header can have this name.
    """

    def __init__(self, header: str | None = None) -> None:
        if header is not None:
            checked({header: "1"})
        self._header = header

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        left = remaining()
        if left is not None:
            if left <= 0:
                raise HTTPDeadlineError("nothing was sent: the deadline has passed already", request)
            timeout = timeout.within(left)
            if self._header is not None:
                milliseconds = max(1, int(min(left, timeout.limit) * 1000))
                request = request.with_headers({self._header: str(milliseconds)})
        response: HTTPResponse = yield Send(request, timeout)
        return response


class AsyncDeadlineMiddleware(AsyncFlow, DeadlineMiddleware):
    __doc__ = DeadlineMiddleware.__doc__


class SyncDeadlineMiddleware(SyncFlow, DeadlineMiddleware):
    __doc__ = DeadlineMiddleware.__doc__
