"""Another try after a failure that may pass.

The waits are those of the circuit breaker's ``Backoff``, which is here anyway. Libraries for retries
(stamina, tenacity) bring loops of their own, for coroutines and for threads; all that they could give to a
flow is that one formula.
"""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cqrs.circuit_breaker import Backoff, CircuitOpenError, validation
from cqrs.deadlines import remaining
from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import (
    DiscoveryError,
    HTTPClosedError,
    HTTPDeadlineError,
    HTTPError,
    HTTPPoolTimeoutError,
)
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, Sleep, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.outcomes import retry_after
from cqrs.http.retry_budget import RetryBudget

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
"""Methods whose second arrival changes nothing more (RFC 9110, 9.2.2)."""

STATUSES = (502, 503, 504)
"""Statuses that may pass."""

BACKOFF = Backoff(initial=0.05, multiplier=2.0, max=1.0, jitter=0.9)

_OVER = (HTTPClosedError, HTTPDeadlineError)
"""What ends the work itself: another try is too late, or opens connections that a shutdown has closed."""

# What libraries raise before there is a connection; in none of them can the server have seen the request.
_UNCONNECTED = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError", "NewConnectionError"}
)


class RetryMiddleware(FlowMiddleware):
    """Tries again after 502, 503, 504, timeouts and lost connections, as long as time and budget allow.

    The call with all its tries and waits takes no longer than its timeout, and no longer than the deadline
    (``cqrs.deadlines``) allows. A wait that would not fit is not begun: the last answer or error is the
    result. Added before a circuit breaker it is outside of it, and each try is a call of its own there.

    Args:
        attempts: tries in all, the first included; >= 1.
        backoff: how long to wait before the k-th retry; a ``Retry-After`` that asks for more wins.
        budget: shared by what it is given to; ``None``: one for each client.
        statuses: statuses to try again after.
        methods: methods that may be tried again after the server may have seen the request. Others are tried
            again only when it cannot have: no connection, no endpoint, an open circuit.
        attempt_timeout: seconds for one try, > 0; ``None``: what is left of the timeout, so that a call that
            times out as a whole is not tried again.
        max_wait: longest wait in seconds, > 0. When a server (``Retry-After``) or an open circuit
            (``retry_after``) asks for more, there is no retry.
        clock: monotonic seconds.
        random: numbers in [0, 1).

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.
    """

    def __init__(
        self,
        attempts: int = 3,
        backoff: Backoff = BACKOFF,
        budget: RetryBudget | None = None,
        *,
        statuses: Collection[int] = STATUSES,
        methods: Collection[str] = IDEMPOTENT,
        attempt_timeout: float | None = None,
        max_wait: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        wrong = [status for status in statuses if type(status) is not int or not 300 <= status <= 599]
        if wrong:
            raise ConfigurationError(f"statuses takes statuses from 300 to 599, not {wrong!r}")
        if isinstance(methods, str):
            raise ConfigurationError(f"methods takes a collection of methods, not {methods!r}")
        self._attempts = validation.count("attempts", attempts)
        self._backoff = backoff
        self._budget = budget
        self._budgets: dict[str, RetryBudget] = {}
        self._statuses = frozenset(statuses)
        self._methods = frozenset(method.upper() for method in methods)
        self._attempt_timeout = (
            None if attempt_timeout is None else validation.seconds("attempt_timeout", attempt_timeout)
        )
        self._max_wait = validation.seconds("max_wait", max_wait)
        self._clock = clock
        self._random = random

    def budget_of(self, client_name: str) -> RetryBudget:
        """Return the budget of a client."""
        if self._budget is not None:
            return self._budget
        budget = self._budgets.get(client_name)
        return self._budgets.setdefault(client_name, RetryBudget()) if budget is None else budget

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        budget = self.budget_of(client_name)
        end = self._clock() + timeout.limit
        tried = 0
        while True:
            tried += 1
            try:
                response = yield from self._try(request, timeout, end, budget if tried > 1 else None)
            except Exception as error:
                if isinstance(error, HTTPError) and self._works(error.status_code):
                    budget.succeeded()
                wait = self._fitting(self._after_error(error, request, tried), tried, end)
                if wait is None or not budget.take():
                    raise
            else:
                if self._works(response.status_code):
                    budget.succeeded()
                    return response
                wait = self._after_answer(response.status_code, response.headers, request, tried)
                wait = self._fitting(wait, tried, end)
                if wait is None or not budget.take():
                    return response
            try:
                yield Sleep(wait)
            except BaseException:
                budget.done()
                raise

    def _try(
        self, request: HTTPRequest, timeout: HTTPTimeout, end: float, budget: RetryBudget | None
    ) -> Flow:
        left = max(self._left(end), 0.001)  # a wait may have been longer than was asked for
        try:
            limit = left if self._attempt_timeout is None else min(left, self._attempt_timeout)
            response: HTTPResponse = yield Send(request, timeout.within(limit))
        finally:
            if budget is not None:
                budget.done()
        return response

    def _works(self, status: int) -> bool:
        return status < 500 and status not in self._statuses

    def _after_answer(
        self, status: int, headers: Mapping[str, str], request: HTTPRequest, tried: int
    ) -> float | None:
        """Return how long to wait before another try, ``None`` for no other."""
        if status not in self._statuses or request.method not in self._methods or not repeatable(request):
            return None
        return max(self._pause(tried), retry_after(headers) or 0.0)

    def _after_error(self, error: Exception, request: HTTPRequest, tried: int) -> float | None:
        if isinstance(error, HTTPError):
            return self._after_answer(error.status_code, error.headers, request, tried)
        if isinstance(error, CircuitOpenError):
            asked = error.retry_after
            return None if asked is None else max(self._pause(tried), asked)
        if isinstance(error, _OVER) or not isinstance(error, (TimeoutError, ConnectionError)):
            return None
        again = unsent(error) or (request.method in self._methods and repeatable(request))
        return self._pause(tried) if again else None

    def _fitting(self, wait: float | None, tried: int, end: float) -> float | None:
        """Return a wait after which there is something to try and time to do so."""
        if wait is None or tried >= self._attempts or wait > self._max_wait or wait >= self._left(end):
            return None
        return wait

    def _pause(self, tried: int) -> float:
        return self._backoff.duration(tried, self._random())

    def _left(self, end: float) -> float:
        left, deadline = end - self._clock(), remaining()
        return left if deadline is None else min(left, deadline)


class AsyncRetryMiddleware(AsyncFlow, RetryMiddleware):
    __doc__ = RetryMiddleware.__doc__


class SyncRetryMiddleware(SyncFlow, RetryMiddleware):
    __doc__ = RetryMiddleware.__doc__


def repeatable(request: HTTPRequest) -> bool:
    """Whether a request can be sent twice: it has no file that is read up the first time."""
    return all(_is_data(given) for given in request.attachments.values())


def _is_data(given: Any) -> bool:
    content: Any = given[1] if isinstance(given, tuple) else given  # pyright: ignore[reportUnknownVariableType]
    return isinstance(content, (bytes, bytearray, str))


def unsent(error: BaseException) -> bool:
    """Whether the server cannot have seen the request: there was no connection to send it over."""
    if isinstance(error, (DiscoveryError, HTTPPoolTimeoutError, ConnectionRefusedError)):
        return True
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in _UNCONNECTED or isinstance(seen, ConnectionRefusedError):
            return True
        seen = seen.__cause__
    return False
