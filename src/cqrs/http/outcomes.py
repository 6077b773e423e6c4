"""What an HTTP exchange says about the server: the one place where a circuit breaker learns it."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from cqrs.circuit_breaker import CircuitOpenError, Trip, Verdict
from cqrs.circuit_breaker.gate import Gate, Token
from cqrs.circuit_breaker.phases import Grant
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.http.errors import (
    DiscoveryError,
    HTTPClosedError,
    HTTPDeadlineError,
    HTTPError,
    HTTPPoolTimeoutError,
    HTTPRequestError,
    HTTPUnavailableError,
)

_FAILURE, _IGNORED, _INCONCLUSIVE, _SUCCESS = (
    Verdict.FAILURE,
    Verdict.IGNORED,
    Verdict.INCONCLUSIVE,
    Verdict.SUCCESS,
)

NEUTRAL = frozenset({408, 429})
"""Statuses that are neutral also where other 4xx are taken for successes."""

_UNSENT = (
    HTTPRequestError,
    HTTPPoolTimeoutError,
    HTTPDeadlineError,
    HTTPClosedError,
    DiscoveryError,
    CircuitOpenError,
)

Errors = tuple[type[BaseException], ...]


class Outcomes:
    """Rules of a circuit breaker for HTTP.

    Failures are 5xx, timeouts, and connections that were not made or were lost. 3xx and 4xx are neutral: they
    neither count nor set the count back, and close no half-open circuit. What was never sent is inconclusive;
    any other exception is a mistake of the program, and neutral.

    Args:
        excluded_as: what a 3xx or 4xx is: ``"ignored"``, or ``"success"``. 408 and 429 stay neutral.
        count: statuses below 500 that are failures all the same, say ``{429}``. An answer with one of these
            statuses, or with a 5xx that is named here, and with a ``Retry-After`` header of more than now
            opens the circuit at once, for as long as it says within the range of the policy's
            ``wait_duration_in_open``.
        unavailable: exceptions that mean that there was no answer.
        unsent: exceptions that mean that nothing was sent; they win over ``unavailable``.

    Raises:
        ConfigurationError: an argument is not of the described kind.
    """

    __slots__ = ("_count", "_excluded", "_unavailable", "_unsent")

    def __init__(
        self,
        *,
        excluded_as: Literal["ignored", "success"] = "ignored",
        count: Collection[int] = (),
        unavailable: Errors = (),
        unsent: Errors = (),
    ) -> None:
        if excluded_as not in ("ignored", "success"):
            raise ConfigurationError(f"excluded_as must be 'ignored' or 'success', not {excluded_as!r}")
        if not isinstance(count, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"count takes a collection of statuses, say {{429}}, not {count!r}")
        wrong = [status for status in count if type(status) is not int or not 300 <= status <= 599]
        if wrong:
            raise ConfigurationError(f"count takes statuses from 300 to 599, not {wrong!r}")
        self._count = frozenset(count)
        self._excluded = None if excluded_as == "success" else _IGNORED
        self._unavailable = (HTTPUnavailableError, TimeoutError, ConnectionError, *unavailable)
        self._unsent = (*_UNSENT, *unsent)

    def of_status(self, status: int, headers: Mapping[str, str]) -> Verdict | Trip | None:
        """Return the verdict on an answer; ``None``: a success.

        Args:
            headers: looked at for ``retry-after`` only, in lower case if the mapping minds.
        """
        if status < 300:
            return None
        if status in self._count:
            wait = retry_after(headers)
            return Trip(wait) if wait else _FAILURE
        if status >= 500:
            return _FAILURE
        return _IGNORED if status in NEUTRAL else self._excluded

    def of_error(self, error: BaseException) -> Verdict | Trip:
        """Return the verdict on a call that raised."""
        if not isinstance(error, Exception):
            return Verdict.CANCELLED
        if isinstance(error, HTTPError):
            verdict = self.of_status(error.status_code, error.headers)
            return _SUCCESS if verdict is None else verdict
        if isinstance(error, self._unsent):
            return _INCONCLUSIVE
        return _FAILURE if isinstance(error, self._unavailable) else _IGNORED


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds of a ``Retry-After`` header, a number or a date (RFC 9110, 10.2.3); at least 0.

    >>> retry_after({"retry-after": "120"})
    120.0
    """
    said = headers.get("retry-after")
    if said is None:
        return None
    said = said.strip()
    if said.isdecimal() and len(said) < 10:
        return float(said)
    try:
        moment = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - now())


class HTTPStatus(Exception):
    """An answer that counts as a failure, where there is no other exception to tell of it."""


class Settlement:
    """Settles the calls of one circuit by what HTTP says, and by the rules of the circuit's own policy.

    The policy comes first: its ``classify``, ``record_result``, ``ignore`` and ``record``, as far as they
    are given; ``classify`` is shown the answer itself.
    """

    __slots__ = ("_gate", "_outcomes")

    def __init__(self, gate: Gate, outcomes: Outcomes) -> None:
        self._gate = gate
        self._outcomes = outcomes

    def answered(self, token: Token, status: int, headers: Mapping[str, str], answer: object) -> None:
        """Settle a call that got an answer."""
        gate = self._gate
        verdict = None if status < 300 else self._outcomes.of_status(status, headers)
        if verdict is None:
            gate.leave(token, answer)
            return
        judge = gate.machine.policy.judge
        if judge.judges_results:
            verdict = judge.of_result(answer, self._duration(token), verdict)
        counts = verdict is _FAILURE or isinstance(verdict, Trip)
        gate.settle(token, verdict, HTTPStatus(str(status)) if counts else None)

    def failed(self, token: Token, error: BaseException) -> None:
        """Settle a call that raised."""
        judge = self._gate.machine.policy.judge
        duration = self._duration(token) if judge.asks_duration else None
        verdict = judge.of_error(error, duration, self._outcomes.of_error(error))
        self._gate.settle(token, verdict, error)

    def _duration(self, token: Token) -> float | None:
        return token.duration(self._gate.clock()) if isinstance(token, Grant) else None
