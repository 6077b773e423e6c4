"""Discovery by asking a server over HTTP: who asks, when, and what its answer means.

The decisions are here, in flows that never wait (see ``cqrs.http.flow``); the waiting is in ``shells.py``.
"""

from __future__ import annotations

import logging
import random as random_module
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import InvalidStateError
from datetime import timedelta
from typing import Any, TypedDict

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    Trip,
    Verdict,
)
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.validation import seconds
from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.discovery.flights import Flight, Landing, Launch
from cqrs.http.discovery.names import Instance
from cqrs.http.discovery.roster import PAUSE, Roster, Times
from cqrs.http.errors import DiscoveryError, HTTPClientError, HTTPError
from cqrs.http.flow import Send, Step
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout, TimeoutLike
from cqrs.http.outcomes import Outcomes

logger = logging.getLogger("cqrs.http.discovery")

_OUTCOMES = Outcomes(excluded_as="success", count={429})  # a refusal is an answer of a server that works


class LookupFailed(Exception):
    """The server's answer does not say where a service is.

    Args:
        message: what it said.
        verdict: what that says about the server.
    """

    def __init__(self, message: str, verdict: Verdict | Trip = Verdict.FAILURE) -> None:
        super().__init__(message)
        self.verdict = verdict


class Options(TypedDict, total=False):
    """What may be said to every discovery that asks a server.

    Attributes:
        cache_ttl: seconds for which a list is used; > 0; default 10.
        stale_for: seconds beyond that for which it is used while the server does not answer; >= 0;
            default 3600.
        avoid_for: seconds for which an instance that could not be reached is avoided; >= 0; default 5.
        timeout: of a question: seconds as a whole (default 2), or ``HTTPTimeout``.
        policy: of the circuit breaker around the questions; ``None`` (default): after one without an answer
            there is none for 1, 2, 4, ... up to 30 seconds.
        clock: monotonic seconds.
        random: numbers in [0, 1): where the turns begin, and the jitter of the breaker.
    """

    cache_ttl: float | timedelta
    stale_for: float | timedelta
    avoid_for: float | timedelta
    timeout: TimeoutLike
    policy: CircuitBreakerPolicy | None
    clock: Callable[[], float]
    random: Callable[[], float]


class Lookup:
    """Base of discoveries that ask a server. A kind of server overrides what raises ``NotImplementedError``.

    Args:
        where: the server, for errors: ``"Consul at http://consul:8500/v1"``.
        path: template of the path that is asked for.
        options: see ``Options``.
    """

    kind = ""
    """Name of the kind of server, for transports."""

    unknown_status = 0
    """Status by which the server says that it does not know a service."""

    def __init__(self, where: str, path: str, options: Options) -> None:
        wrong = set(options) - set(Options.__annotations__)
        if wrong:
            raise ConfigurationTypeError(f"{type(self).__name__} has no argument {', '.join(sorted(wrong))}")
        self.where = where
        self.path = path
        timeout = options.get("timeout", 2.0)
        if isinstance(timeout, (HTTPTimeout, tuple)):
            self.timeout = HTTPTimeout.of(timeout)
        else:
            limit = seconds("timeout", timeout)
            self.timeout = HTTPTimeout(limit, limit, limit)
        self._times = Times(
            seconds("cache_ttl", options.get("cache_ttl", 10.0)),
            seconds("stale_for", options.get("stale_for", 3600.0), strict=False),
            seconds("avoid_for", options.get("avoid_for", 5.0), strict=False),
        )
        self._clock = options.get("clock", time.monotonic)
        self._random = options.get("random", random_module.random)
        policy = options.get("policy") or default_policy(self.timeout)
        self.breaker = CircuitBreaker(f"discovery: {where}", policy, clock=self._clock, random=self._random)
        self._lock = ForkedLock()
        self._rosters: dict[tuple[str, str | None], Roster] = {}
        self._flights: dict[tuple[str, str | None], Flight] = {}

    # ------------------------------------------------------------------ what a kind of server overrides

    def name(self, service: str, version: str | None) -> str:
        """Return the name under which the server knows a service."""
        raise NotImplementedError

    def request(self, name: str) -> HTTPRequest:
        """Return the question."""
        raise NotImplementedError

    def read(self, name: str, response: HTTPResponse) -> Sequence[Instance]:
        """Return the instances that an answer names.

        Raises:
            LookupFailed: they are not of the form that they should have.
            ValueError: it is not JSON.
        """
        raise NotImplementedError

    def url(self, instance: Instance, service: str, version: str | None) -> str:
        """Return the base URL of an instance."""
        raise NotImplementedError

    # ------------------------------------------------------------------ what clients call

    def known(self, service: str, version: str | None) -> str | None:
        """Return the base URL of an instance if it is known, at once."""
        key = (service, version)
        roster = self._rosters.get(key)
        if roster is None:
            return None
        now = self._clock()
        flight = self._flights.get(key)
        return roster.current(now, flight is not None and now < flight.expires)

    def failed(self, service: str, version: str | None, url: str) -> None:
        """Say that no connection to ``url`` could be made: it is avoided, and the list is renewed early."""
        roster = self._rosters.get((service, version))
        if roster is not None:
            with self._lock.mine():
                roster.failed(url, self._clock())

    # ------------------------------------------------------------------ flows

    def finding(self, service: str, version: str | None) -> Generator[Step, Any, str]:
        """Return the base URL of an instance; asks, or waits for who asks, only where it must."""
        key = (service, version)
        while True:
            now = self._clock()
            flight, is_mine = self._join(key, now)
            if flight is None:
                return self._answer(key, now, None)
            url = flight.roster.pick(now) if flight.roster.bridges(now) else None
            if is_mine and self._admitted(flight):
                yield Launch(self.launch, flight, url is not None)
            if url is not None:
                return url
            landed = yield Landing(flight, self.timeout.limit + 1.0)
            if not landed:
                self.abandon(flight)
                self._end(flight, TimeoutError(), f"{self.where} was asked and did not answer", PAUSE)
                return self._answer(key, self._clock(), None)
            if not flight.abandoned:
                return self._answer(key, self._clock(), flight.error)

    def asking(self, flight: Flight) -> Generator[Any, Any, None]:
        """Ask, and note what comes of it; raises nothing but interruptions."""
        try:
            name = self.name(*flight.key)
            try:
                response: HTTPResponse = yield Send(self.request(name), self.timeout)
            except HTTPError as error:
                response = error.response
            self._answered(flight, name, self._instances(name, response))
        except Exception as error:
            self._missed(flight, error)
        except BaseException:
            self.abandon(flight)
            raise

    def launch(self, flight: Flight, in_background: bool) -> None:
        """Run ``asking``, as the shells can."""
        raise NotImplementedError

    # ------------------------------------------------------------------ decisions

    def _join(self, key: tuple[str, str | None], now: float) -> tuple[Flight | None, bool]:
        """Return the flight to wait for and whether it is to be flown by the caller; none: all is known."""
        with self._lock.mine():
            roster = self._rosters.get(key)
            if roster is None:
                roster = self._rosters[key] = Roster(self._times, int(self._random() * 1000))
            if now < roster.due:
                return None, False
            flight = self._flights.get(key)
            if flight is not None and now < flight.expires:
                return flight, False
            flight = Flight(key, roster, now + self.timeout.limit + 1.0)
            self._flights[key] = flight
            return flight, True

    def _admitted(self, flight: Flight) -> bool:
        try:
            flight.permit = self.breaker.acquire()
        except CircuitOpenError as error:
            problem = flight.roster.problem or (
                f"{self.where} is left alone for now, since it failed ({error.last_failure or error.reason})"
            )
            self._end(flight, error, problem, max(PAUSE / 10, error.retry_after or 0.0))
            return False
        except BaseException:
            self.abandon(flight)
            raise
        return True

    def _answer(self, key: tuple[str, str | None], now: float, cause: Exception | None) -> str:
        roster = self._rosters[key]
        url = roster.pick(now)
        if url is not None:
            return url
        again = max(0.0, roster.due - now)
        problem = roster.problem or f"{self.where} has not been asked"
        raise DiscoveryError(f"{problem}; to be asked again in {again:.1f} s", *key) from cause

    def _instances(self, name: str, response: HTTPResponse) -> Sequence[Instance]:
        status = response.status_code
        if status == self.unknown_status:
            return ()
        if not 200 <= status < 300:
            hint = {
                401: ": it wants a token",
                403: ": the token does not permit it",
                404: ": is that the address of its API?",
            }.get(status, "")
            said = f"{status} {response.reason}".rstrip()
            verdict = _OUTCOMES.of_status(status, response.headers) or Verdict.SUCCESS
            raise LookupFailed(f"answered {said} about {name!r}{hint}", verdict)
        try:
            return self.read(name, response)
        except ValueError:
            raise LookupFailed(f"answered about {name!r} with something that is not JSON") from None

    def _answered(self, flight: Flight, name: str, instances: Sequence[Instance]) -> None:
        urls = [self.url(instance, *flight.key) for instance in instances]
        problem = f"{self.where} knows no healthy instance of {name!r}"
        with self._lock.mine():
            over = flight.roster.answered(urls, self._clock(), problem)
        if flight.permit is not None:
            flight.permit.success()
        self._land(flight)
        if over:
            logger.warning("%s tells again where %r is", self.where, name, extra={"service": name})

    def _missed(self, flight: Flight, error: Exception) -> None:
        name = self.name(*flight.key)
        verdict = _OUTCOMES.of_error(error)
        if isinstance(error, LookupFailed):
            what, verdict = str(error), error.verdict
        elif not isinstance(error, HTTPClientError):
            what = f"could not be asked about {name!r}: {type(error).__name__}: {error}"
        elif verdict is Verdict.INCONCLUSIVE:
            what = f"could not be asked about {name!r}: {error.message}"
        else:
            what = f"did not answer about {name!r}: {error.message}"
            verdict = Verdict.FAILURE  # also for an answer that was cut off, or is too large
        if flight.permit is not None:
            flight.permit.settle(verdict, error)
        self._end(flight, error, f"{self.where} {what}", PAUSE)

    def _end(self, flight: Flight, error: Exception, problem: str, retry_in: float) -> None:
        with self._lock.mine():
            begins = flight.roster.missed(problem, self._clock(), retry_in)
            flight.error = error
        self._land(flight)
        if begins:
            logger.warning(
                "%s; what it said last is used for up to %g s",
                problem,
                self._times.stale_for,
                extra={"service": flight.key[0], "version": flight.key[1]},
            )

    def abandon(self, flight: Flight) -> None:
        """End a flight that was interrupted; nothing happens when it has ended."""
        if flight.done.done():
            return
        flight.abandoned = True
        if flight.permit is not None:
            flight.permit.settle(Verdict.CANCELLED)
        self._land(flight)

    def _land(self, flight: Flight) -> None:
        with self._lock.mine():
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
        try:
            flight.done.set_result(None)
        except InvalidStateError:  # somebody gave it up before
            pass


def default_policy(timeout: HTTPTimeout) -> CircuitBreakerPolicy:
    """Return the policy around questions: after one without an answer, none for 1, 2, 4, ... up to 30 s."""
    return CircuitBreakerPolicy.consecutive(
        1, wait_duration_in_open=Backoff(1.0, 2.0, 30.0), max_probe_duration=timeout.limit + 1.0
    )
