"""The deadline of the work in hand, for the calls that it leads to."""

from __future__ import annotations

from cqrs.circuit_breaker import validation
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
        reserve: seconds of what is left that are kept back, >= 0: for the fallback that answers when the call
            has timed out. Without it the call and the work that it is for run out of time at one moment.

    Raises:
        ConfigurationError: no header can have this name, or ``reserve`` is negative or no number.
    """

    def __init__(self, header: str | None = None, *, reserve: float = 0.0) -> None:
        if header is not None:
            checked({header: "1"})
        self._header = header
        self._reserve = validation.seconds("reserve", reserve, strict=False)

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        left = remaining()
        if left is not None:
            left -= self._reserve
            if left <= 0:
                what = "has passed already" if self._reserve == 0 else "leaves no more than the reserve"
                raise HTTPDeadlineError(f"nothing was sent: the deadline {what}", request)
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
