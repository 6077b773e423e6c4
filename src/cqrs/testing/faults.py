"""Strategies that make a dependency misbehave: errors and latency, wrapped around any kind of function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar, cast

from cqrs.testing.clock import FakeClock

F = TypeVar("F", bound=Callable[..., Any])
Error = BaseException | type[BaseException]


class Strategy(ABC):
    """Something that happens before a call; decorates ``def``, ``async def`` and both kinds of generators.

    The kind and the signature of the decorated function are preserved. With a generator it happens
    when the first item is asked for.

    Args:
        rate: share of the calls that are hit, between 0 and 1, or a function that returns it.
        seed: seed of the random choice, so that a run can be repeated.
        enabled: asked at each call; the strategy does nothing while it returns false.

    Raises:
        ValueError: ``rate`` is not between 0 and 1.
    """

    def __init__(
        self,
        *,
        rate: float | Callable[[], float] = 1.0,
        seed: int = 0,
        enabled: Callable[[], bool] | None = None,
    ) -> None:
        if not callable(rate) and not 0 <= rate <= 1:
            raise ValueError(f"rate must be between 0 and 1, not {rate}")
        self._rate = rate
        self._random = random.Random(seed)
        self._enabled = enabled
        self._lock = threading.Lock()

    @abstractmethod
    def strike(self) -> None:
        """Hit one synchronous call."""

    async def astrike(self) -> None:
        """Hit one asynchronous call."""
        self.strike()

    def is_due(self) -> bool:
        """Decide whether the next call is hit; each decision draws once from the seeded generator."""
        if self._enabled is not None and not self._enabled():
            return False
        rate = self._rate() if callable(self._rate) else self._rate
        with self._lock:
            return self._random.random() < rate

    def __call__(self, func: F) -> F:
        """Return ``func`` with this strategy in front of it."""
        wrapper: Callable[..., Any]
        if inspect.isasyncgenfunction(func):

            @functools.wraps(func)
            async def async_generator(*args: Any, **kwargs: Any) -> Any:
                if self.is_due():
                    await self.astrike()
                source = func(*args, **kwargs)
                try:
                    async for item in source:
                        yield item
                finally:
                    await source.aclose()

            wrapper = async_generator
        elif inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                if self.is_due():
                    await self.astrike()
                return await func(*args, **kwargs)

            wrapper = coroutine
        elif inspect.isgeneratorfunction(func):

            @functools.wraps(func)
            def generator(*args: Any, **kwargs: Any) -> Any:
                if self.is_due():
                    self.strike()
                source: Generator[Any, Any, Any] = func(*args, **kwargs)
                return (yield from source)

            wrapper = generator
        else:

            @functools.wraps(func)
            def function(*args: Any, **kwargs: Any) -> Any:
                if self.is_due():
                    self.strike()
                return func(*args, **kwargs)

            wrapper = function
        return cast(F, wrapper)


class Fault(Strategy):
    """Raises one of the given exceptions, in turn, instead of calling.

    Args:
        *errors: exception classes or instances; at least one. Classes are raised as fresh instances.
        schedule: which calls fail, one truth value per call; after its end no call fails. Given a
            schedule, ``rate`` must stay 1.
        rate: share of the calls that fail, between 0 and 1, or a function that returns it.
        seed: seed of the random choice.
        enabled: asked at each call; nothing is raised while it returns false, and the schedule waits.

    Raises:
        TypeError: no exception is given, or one of them is not an exception.
        ValueError: ``rate`` is not between 0 and 1, or both ``rate`` and ``schedule`` are given.

    >>> @Fault(ConnectionError, schedule=[True, False])
    ... def ping() -> str:
    ...     return "pong"
    >>> ping()
    Traceback (most recent call last):
    ConnectionError
    >>> ping()
    'pong'
    """

    def __init__(
        self,
        *errors: Error,
        schedule: Iterable[object] | None = None,
        rate: float | Callable[[], float] = 1.0,
        seed: int = 0,
        enabled: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(rate=rate, seed=seed, enabled=enabled)
        if not errors:
            raise TypeError("Fault needs at least one exception to raise")
        for error in errors:
            if not is_error(error):
                raise TypeError(f"Fault raises exceptions, not {error!r}")
        if schedule is not None and rate != 1.0:
            raise ValueError("give either a rate or a schedule, not both")
        self._errors = errors
        self._schedule = None if schedule is None else iter(schedule)
        self._raised = 0

    def is_due(self) -> bool:
        """Decide whether the next call fails; takes one entry of the schedule."""
        if not super().is_due():
            return False
        with self._lock:
            return self._schedule is None or bool(next(self._schedule, False))

    def strike(self) -> None:
        """Raise the next exception."""
        with self._lock:
            error = self._errors[self._raised % len(self._errors)]
            self._raised += 1
        raise error


class Latency(Strategy):
    """Makes calls take time: advances a fake clock, or really sleeps when none is given.

    Args:
        seconds: delay per call that is hit, at least 0, or a function that returns it.
        clock: the fake clock to advance; default: sleep in real time.
        rate: share of the calls that are delayed, between 0 and 1, or a function that returns it.
        seed: seed of the random choice.
        enabled: asked at each call; nothing is delayed while it returns false.

    Raises:
        ValueError: ``seconds`` is negative or ``rate`` is not between 0 and 1.

    >>> clock = FakeClock()
    >>> Latency(2.5, clock=clock)(print)("done")
    done
    >>> clock()
    1002.5
    """

    def __init__(
        self,
        seconds: float | Callable[[], float],
        *,
        clock: FakeClock | None = None,
        rate: float | Callable[[], float] = 1.0,
        seed: int = 0,
        enabled: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(rate=rate, seed=seed, enabled=enabled)
        if not callable(seconds) and not seconds >= 0:
            raise ValueError(f"seconds must be at least 0, not {seconds}")
        self._seconds = seconds
        self._clock = clock

    def strike(self) -> None:
        """Let the delay pass, blocking the thread if there is no fake clock."""
        if self._clock is not None:
            self._clock.advance(self._delay())
        else:
            time.sleep(self._delay())

    async def astrike(self) -> None:
        """Let the delay pass without blocking the event loop."""
        if self._clock is not None:
            self._clock.advance(self._delay())
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(self._delay())

    def _delay(self) -> float:
        return self._seconds() if callable(self._seconds) else self._seconds


def is_error(value: object) -> bool:
    """Tell whether ``value`` can be raised."""
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))
